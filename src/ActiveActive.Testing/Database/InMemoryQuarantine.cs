using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>The transactions that were put aside, by rising id, and their parts. Used under the database's gate only.</summary>
internal sealed class InMemoryQuarantine
{
    private readonly SortedDictionary<long, QuarantinedTransaction> _entries = [];
    private readonly Dictionary<(NodeName, NpgsqlLogSequenceNumber, int), ReadOnlyMemory<byte>> _parts = [];
    private long _lastId;

    /// <summary>Numbers are drawn like a sequence's: a rollback leaves a gap.</summary>
    public long NextId() => ++_lastId;

    public IReadOnlyList<QuarantinedTransaction> All(NodeName? origin) => [.. _entries.Values.Where(e => origin is null || e.Origin == origin)];

    public QuarantinedTransaction? Find(long id) => _entries.GetValueOrDefault(id);

    public ReadOnlyMemory<byte>? Part(QuarantinedTransaction entry, int part) =>
        _parts.TryGetValue((entry.Origin, entry.Position, part), out var content) ? content : default(ReadOnlyMemory<byte>?);

    public void Set(QuarantinedTransaction entry) => _entries[entry.Id] = entry;

    public IReadOnlyList<ReadOnlyMemory<byte>> PartsOf(QuarantinedTransaction entry) => [.. Enumerable.Range(0, entry.Parts).Select(i => _parts[(entry.Origin, entry.Position, i)])];

    public void Add(QuarantinedTransaction entry, IReadOnlyList<ReadOnlyMemory<byte>> parts)
    {
        _entries.Add(entry.Id, entry);
        for (var i = 0; i < parts.Count; i++) _parts.Add((entry.Origin, entry.Position, i), parts[i]);
    }

    public void Remove(QuarantinedTransaction entry)
    {
        _entries.Remove(entry.Id);
        for (var i = 0; i < entry.Parts; i++) _parts.Remove((entry.Origin, entry.Position, i));
    }
}
