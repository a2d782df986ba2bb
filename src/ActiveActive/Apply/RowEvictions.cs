using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Routes;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>
/// The rows that local writes have made some other nodes' (<see cref="RowRoute"/>): inserted here for another region, or moved there. They go to the nodes that hold them, and leave this one. What a crash interrupts is found again,
/// since no checkpoint passes it.
/// </summary>
internal sealed class RowEvictions(NodeName self, TableRoutes routes)
{
    private readonly Lock _lock = new();
    private readonly List<(RowKey Key, NpgsqlLogSequenceNumber Position)> _noted = [];

    /// <summary>The first transaction whose rows have not left; null where all have.</summary>
    public NpgsqlLogSequenceNumber? First
    {
        get
        {
            lock (_lock) return _noted.Count == 0 ? null : _noted.Min(static n => n.Position);
        }
    }

    /// <summary>Told of each part of a local transaction. Returns the tables that have rows to look at.</summary>
    public IReadOnlyCollection<TableName> Note(ChangeTransaction part)
    {
        if (routes.IsEmpty) return [];
        var tables = new HashSet<TableName>();
        foreach (var change in part.Changes)
        {
            if (change.NewRow is not { } row || !routes.IsElsewhere(self, change.Relation, row)) continue;
            lock (_lock) _noted.Add((change.Relation.KeyOf(row), part.Position));
            tables.Add(change.Relation.Root);
        }

        return tables;
    }

    /// <summary>What has been noted of a table; stays until <see cref="Remove"/>.</summary>
    public IReadOnlyList<(RowKey Key, NpgsqlLogSequenceNumber Position)> Of(TableName table)
    {
        lock (_lock) return [.. _noted.Where(n => n.Key.Table == table)];
    }

    public void Remove(IEnumerable<(RowKey Key, NpgsqlLogSequenceNumber Position)> done)
    {
        var all = done.ToHashSet();
        lock (_lock) _noted.RemoveAll(all.Contains);
    }
}
