using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Compliance.Database;

/// <summary>Reads a change stream one transaction at a time, with a deadline.</summary>
internal sealed class ChangeReader : IAsyncDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    private readonly ILocalDatabase _database;
    private readonly CancellationTokenSource _stop;
    private readonly IAsyncEnumerator<CapturedTransaction> _transactions;
    private Task<bool>? _next;

    private ChangeReader(ILocalDatabase database, IChangeStream stream, CancellationToken cancellationToken)
    {
        _database = database;
        Stream = stream;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _transactions = stream.ReadAsync(_stop.Token).GetAsyncEnumerator(_stop.Token);
    }

    public IChangeStream Stream { get; }

    public static async Task<ChangeReader> OpenAsync(
        ILocalDatabase database, NpgsqlLogSequenceNumber start, SlotCopy? copy, CancellationToken cancellationToken) =>
        new(database, await database.OpenChangeStreamAsync(start, copy, cancellationToken), cancellationToken);

    /// <summary>Starts to wait for the next transaction, which a later <see cref="NextAsync"/> returns.</summary>
    public Task Ask() => _next ??= _transactions.MoveNextAsync().AsTask();

    public async Task<CapturedTransaction> NextAsync(string what)
    {
        _ = Ask();
        var next = _next!;
        try
        {
            Assert.True(await next.WaitAsync(s_limit), $"The stream ended before {what}.");
        }
        catch (TimeoutException)
        {
            Assert.Fail($"Not within {s_limit.TotalSeconds} s: {what}.");
        }

        _next = null;
        return _transactions.Current;
    }

    /// <summary>Everything that is committed by now and was not read: writes a marker and reads up to it.</summary>
    public async Task<IReadOnlyList<CapturedTransaction>> ReadAllAsync()
    {
        var marker = await _database.WriteMarkerAsync(CommitTimestamp.Unknown, CancellationToken.None);
        var read = new List<CapturedTransaction>();
        while (true)
        {
            var transaction = await NextAsync($"the marker at {marker} passes");
            if (transaction.Position >= marker.Position)
            {
                Assert.Empty(transaction.Changes);
                Assert.True(transaction.ForeignOrigin.IsNone);
                return read;
            }

            // Markers of others may be read, too; they say nothing.
            if (transaction.Changes.Count > 0 || !transaction.ForeignOrigin.IsNone) read.Add(transaction);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        if (_next is not null) await ((Task)_next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        await _transactions.DisposeAsync();
        await Stream.DisposeAsync();
        _stop.Dispose();
    }
}
