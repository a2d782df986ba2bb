using System.Runtime.CompilerServices;
using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>The tables as they stood at the end of the durable log.</summary>
internal sealed class InMemorySnapshot : IDataSnapshot
{
    private const int CharactersPerChunk = 4096;

    private readonly InMemoryServer _server;
    private readonly Dictionary<LocalTable, (List<SnapshotKey> Keys, List<ColumnValue[]> Rows)> _tables = [];

    /// <summary>Under the gate, with nothing that is not durable.</summary>
    public InMemorySnapshot(InMemoryServer server)
    {
        _server = server;
        Position = server.Log.DurableEnd;
        foreach (var table in server.Tables) _tables.Add(table.Definition, Read(table));
    }

    public NpgsqlLogSequenceNumber Position { get; }

    public ValueTask<IReadOnlyList<SnapshotTable>> ReadTablesAsync(CancellationToken cancellationToken) =>
        new([.. _tables.OrderByDescending(t => t.Value.Rows.Count).ThenBy(t => t.Key.Name).Select(t => new SnapshotTable(t.Key, t.Value.Rows.Count, t.Value.Rows.Count * 100L))]);

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadRowsAsync(SnapshotTable table, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var text = new StringBuilder();
        foreach (var row in _tables[table.Table].Rows)
        {
            CopyText.Write(text, row);
            if (text.Length < CharactersPerChunk) continue;
            yield return await TakeAsync(text, cancellationToken);
        }

        if (text.Length > 0) yield return await TakeAsync(text, cancellationToken);
    }

    public async IAsyncEnumerable<SnapshotKey> ReadKeysAsync(SnapshotTable table, uint oldest, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (_server.Interrupt is { } interrupt) await interrupt();
        foreach (var key in _tables[table.Table].Keys)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (key.Override is not null || key.Siblings.Count > 0 || key.Loser is not null || (oldest != 0 && (int)(key.Xid - oldest) >= 0)) yield return key;
        }
    }

    public async IAsyncEnumerable<Tombstone> ReadTombstonesAsync(SnapshotTable table, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (_server.Interrupt is { } interrupt) await interrupt();
        List<Tombstone> tombstones;
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            tombstones = [.. _server.TableOf(table.Table).Tombstones.All.Select(t => new Tombstone(table.Table.Name, t.Key.ToText(), t.Value.Version)).OrderBy(t => t.Key, StringComparer.Ordinal)];
        }

        foreach (var tombstone in tombstones) yield return tombstone;
    }

    public ValueTask DisposeAsync() => default;

    private (List<SnapshotKey> Keys, List<ColumnValue[]> Rows) Read(InMemoryTable table)
    {
        var keys = new Dictionary<RowKey, SnapshotKey>();
        var rows = new List<ColumnValue[]>();
        foreach (var cell in table.Cells)
        {
            // A transaction whose record is in the log is in the snapshot, also while others are not shown its rows yet.
            if ((_server.IsLogged(cell) ? cell.Pending : cell.Committed) is not { } row) continue;
            var (stamp, origin) = _server.StampOf(row.WrittenBy);
            rows.Add(row.Values);
            keys.Add(cell.Key, new SnapshotKey(cell.Key, row.WrittenBy.Xid, stamp, origin)
            {
                Override = table.Overrides.Find(cell.Key) is { } note && note.Xid == row.WrittenBy.Xid ? note.Version : null,
                IsOverrideKept = table.Overrides.Find(cell.Key)?.IsKept == true,
            });
        }

        foreach (var (key, note) in table.Siblings.All)
        {
            var shown = keys.GetValueOrDefault(key);
            if (note.Xid != (shown?.Xid ?? InMemoryNote.NoRow)) continue;
            keys[key] = (shown ?? new SnapshotKey(key, 0, CommitTimestamp.Unknown, default)) with { Siblings = note.Siblings };
        }

        foreach (var (key, note) in table.Losers.All)
        {
            keys[key] = (keys.GetValueOrDefault(key) ?? new SnapshotKey(key, 0, CommitTimestamp.Unknown, default)) with { Loser = note.Loser, Winner = note.Winner };
        }

        return ([.. keys.Values], rows);
    }

    private async ValueTask<ReadOnlyMemory<byte>> TakeAsync(StringBuilder text, CancellationToken cancellationToken)
    {
        if (_server.Interrupt is { } interrupt) await interrupt();
        cancellationToken.ThrowIfCancellationRequested();
        var bytes = Encoding.UTF8.GetBytes(text.ToString());
        text.Clear();
        return bytes;
    }
}
