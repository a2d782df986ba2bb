using ActiveActive.Testing;
using ActiveActive.Testing.Database;

namespace ActiveActive.Tests.Histories;

/// <summary>A local transaction whose commit stops between its steps, as a busy server's may: it has read the clock; its record is in the log; its rows are visible.</summary>
internal sealed class SteppedCommit
{
    private readonly InMemoryCluster _cluster;
    private readonly Queue<TaskCompletionSource> _steps = [];
    private Task? _commit;

    private SteppedCommit(InMemoryCluster cluster) => _cluster = cluster;

    /// <summary>Runs the transaction up to where it has read the clock.</summary>
    public static async Task<SteppedCommit> StampAsync(InMemoryCluster cluster, InMemoryNode node, Func<LocalTransaction, Task> work)
    {
        var stepped = new SteppedCommit(cluster);
        node.CommitStep = () =>
        {
            var step = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            stepped._steps.Enqueue(step);
            return new ValueTask(step.Task);
        };
        await cluster.RunAsync("a transaction has its stamp", async () =>
        {
            var transaction = node.Database.BeginLocal();
            await work(new LocalTransaction(node.Database, transaction));
            stepped._commit = transaction.CommitAsync(static _ => { }).AsTask();
            return true;
        });
        return stepped;
    }

    /// <summary>Writes the commit record.</summary>
    public Task LogAsync() => StepAsync("a transaction is logged", () => _steps.Count == 1);

    /// <summary>Makes the rows visible.</summary>
    public Task ShowAsync() => StepAsync("a transaction is visible", () => _commit!.IsCompleted);

    private async Task StepAsync(string what, Func<bool> isDone) => await _cluster.RunAsync(what, async () =>
    {
        _steps.Dequeue().SetResult();
        while (!isDone()) await Task.Yield();
        return true;
    });
}
