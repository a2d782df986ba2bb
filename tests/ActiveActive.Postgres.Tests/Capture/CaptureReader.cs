using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.Capture;

/// <summary>Reads a change stream with a deadline, and up to a marker.</summary>
internal sealed class CaptureReader : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly CaptureDatabase _database;
    private readonly PostgresDatabase _opened;
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private readonly IAsyncEnumerator<CapturedTransaction> _transactions;

    public CaptureReader(CaptureDatabase database, PostgresDatabase opened, IChangeStream stream)
    {
        _database = database;
        _opened = opened;
        Stream = stream;
        _transactions = stream.ReadAsync(_stop.Token).GetAsyncEnumerator(_stop.Token);
    }

    public IChangeStream Stream { get; }

    /// <summary>Another stream of the same node.</summary>
    public async Task<CaptureReader> OpenBesideAsync(NpgsqlLogSequenceNumber start, SlotCopy copy) =>
        new(_database, _opened, await _opened.OpenChangeStreamAsync(start, copy, TestContext.Current.CancellationToken));

    public async Task<CapturedTransaction> NextAsync(string awaited)
    {
        var next = _transactions.MoveNextAsync().AsTask();
        try
        {
            Assert.True(await next.WaitAsync(Limit, TestContext.Current.CancellationToken), "The stream ended.");
        }
        catch (TimeoutException)
        {
            Assert.Fail($"Not within {Limit.TotalSeconds} s: {awaited}.");
        }

        return _transactions.Current;
    }

    /// <summary>Everything before a marker that is committed now.</summary>
    public async Task<List<CapturedTransaction>> ReadToMarkerAsync() => await ReadToAsync(await MarkAsync());

    public async Task<List<CapturedTransaction>> ReadToAsync(uint markerXid)
    {
        List<CapturedTransaction> seen = [];
        while (await NextAsync($"the marker of transaction {markerXid}, after {seen.Count} others") is var transaction && transaction.Xid != markerXid) seen.Add(transaction);
        return seen;
    }

    public async Task<List<Change>> ReadChangesAsync() => [.. (await ReadToMarkerAsync()).SelectMany(transaction => transaction.Changes)];

    public async Task<uint> MarkAsync() => uint.Parse(await _database.ScalarAsync<string>(
        $"SELECT pg_current_xact_id()::xid::text FROM pg_logical_emit_message(true, '{PostgresNames.MessagePrefix}', 'marker')"), System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The fault that ends the stream.</summary>
    public async Task<ReplicationException> FaultAsync(string awaited) =>
        await Assert.ThrowsAsync<ReplicationException>(async () =>
        {
            while (true) await NextAsync(awaited);
        });

    public async ValueTask DisposeAsync()
    {
        await Stream.DisposeAsync();
        _stop.Dispose();
    }
}
