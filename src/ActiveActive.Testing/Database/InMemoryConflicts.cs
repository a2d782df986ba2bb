namespace ActiveActive.Testing.Database;

/// <summary>The conflict history, by rising id. Used under the database's gate only.</summary>
internal sealed class InMemoryConflicts
{
    private readonly List<ConflictRecord> _records = [];
    private long _lastId;

    /// <summary>Numbers are drawn like a sequence's: a rollback leaves a gap.</summary>
    public long NextId() => ++_lastId;

    public void Add(ConflictRecord record)
    {
        var at = _records.Count;
        while (at > 0 && _records[at - 1].Id > record.Id) at--;
        _records.Insert(at, record);
    }

    public void Remove(long id)
    {
        for (var i = _records.Count - 1; i >= 0; i--)
        {
            if (_records[i].Id != id) continue;
            _records.RemoveAt(i);
            return;
        }
    }

    public long RemoveBefore(DateTimeOffset instant) => _records.RemoveAll(r => r.RecordedAt < instant);

    public List<ConflictRecord> Find(ConflictQuery query)
    {
        var found = new List<ConflictRecord>();
        for (var i = _records.Count - 1; i >= 0 && found.Count < query.Limit; i--)
        {
            var record = _records[i];
            if (query.BeforeId is { } id && record.Id >= id) continue;
            if (query.Table is { } table && record.Table != table) continue;
            if (query.Type is { } type && record.Type != type) continue;
            if (query.Since is { } since && record.RecordedAt < since) continue;
            found.Add(record);
        }

        return found;
    }
}
