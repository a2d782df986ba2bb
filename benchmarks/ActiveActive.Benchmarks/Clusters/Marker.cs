using Npgsql;

namespace ActiveActive.Benchmarks.Clusters;

/// <summary>
/// A row that is written last: when it can be read on the other node, all before it can. Positions that a subscriber confirms lag behind
/// what is visible by up to seconds, so they tell nothing.
/// </summary>
internal static class Marker
{
    public const string Schema = "CREATE TABLE marker (id int PRIMARY KEY); CREATE TABLE warm (id int PRIMARY KEY, v int NOT NULL, t text NOT NULL);\n";

    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(2);

    public static Task WriteAsync(BenchmarkDatabase database, int id, CancellationToken cancellationToken) =>
        database.ExecuteAsync($"INSERT INTO marker VALUES ({id})", cancellationToken);

    /// <summary>Returns when the first look was made, so that connecting is over before a clock starts; the inner task ends when the row is there.</summary>
    /// <exception cref="BenchmarkException">It did not come in time.</exception>
    public static async Task<Task> ArmAsync(BenchmarkDatabase database, int id, TimeSpan limit, CancellationToken cancellationToken)
    {
        var looked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var waiting = PollAsync(database, id, limit, looked, cancellationToken);
        await Task.WhenAny(looked.Task, waiting);
        return waiting;
    }

    public static async Task WaitAsync(BenchmarkDatabase database, int id, TimeSpan limit, CancellationToken cancellationToken) =>
        await await ArmAsync(database, id, limit, cancellationToken);

    /// <summary>Polls by a prepared look at one key.</summary>
    private static async Task PollAsync(BenchmarkDatabase database, int id, TimeSpan limit, TaskCompletionSource looked, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(limit);
        try
        {
            await using var connection = await database.OpenAsync(patience.Token);
            await using var command = new NpgsqlCommand("SELECT count(*) FROM marker WHERE id = $1", connection) { Parameters = { new() { Value = id } } };
            await command.PrepareAsync(patience.Token);
            while ((long)(await command.ExecuteScalarAsync(patience.Token))! == 0)
            {
                looked.TrySetResult();
                await Task.Delay(s_pollInterval, patience.Token);
            }
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new BenchmarkException($"not visible after {limit.TotalSeconds:0} s", e);
        }
    }
}
