using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>What stood where an asynchronous commit wrote, so that a crash that loses it can take it back.</summary>
internal sealed class InMemoryUndo(NodeName origin, (NpgsqlLogSequenceNumber Committed, NpgsqlLogSequenceNumber Recorded) progress)
{
    private readonly List<(InMemoryTable Table, RowKey Key, InMemoryRow? Row)> _rows = [];
    private List<(InMemoryNotes Notes, RowKey Key, InMemoryNote? Note)>? _notes;
    private List<long>? _conflicts;
    private QuarantinedTransaction? _added;
    private (QuarantinedTransaction Entry, IReadOnlyList<ReadOnlyMemory<byte>> Parts)? _released;

    public void Add(InMemoryCell cell) => _rows.Add((cell.Table, cell.Key, cell.Committed));

    public void Add(InMemoryNotes notes, RowKey key) => (_notes ??= []).Add((notes, key, notes.Find(key)));

    public void Add(ConflictRecord conflict) => (_conflicts ??= []).Add(conflict.Id);

    public void Added(QuarantinedTransaction entry) => _added = entry;

    public void Released(QuarantinedTransaction entry, IReadOnlyList<ReadOnlyMemory<byte>> parts) => _released = (entry, parts);

    public void Apply(InMemoryServer server)
    {
        foreach (var (table, key, row) in _rows)
        {
            var cell = table.CellOf(key);
            cell.Committed = row;
            table.Prune(cell);
        }

        if (_notes is not null)
        {
            foreach (var (notes, key, note) in _notes) notes.Restore(key, note);
        }

        if (_conflicts is not null)
        {
            foreach (var id in _conflicts) server.Conflicts.Remove(id);
        }

        if (_added is not null) server.Quarantine.Remove(_added);
        if (_released is { } released) server.Quarantine.Add(released.Entry, released.Parts);
        server.RestoreProgress(origin, progress);
    }
}
