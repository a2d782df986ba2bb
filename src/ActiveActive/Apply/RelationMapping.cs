using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <summary>How a peer's table image maps to the local table: by column name, whatever the column order.</summary>
internal sealed class RelationMapping
{
    private readonly int[] _remoteOrdinals;
    private readonly int[] _remoteKeyOrdinals;

    private RelationMapping(Relation relation, LocalTable table, int[] remoteOrdinals, int[] remoteKeyOrdinals)
    {
        Relation = relation;
        Table = table;
        _remoteOrdinals = remoteOrdinals;
        _remoteKeyOrdinals = remoteKeyOrdinals;
    }

    public Relation Relation { get; }

    public LocalTable Table { get; }

    /// <exception cref="ReplicationException">ApplyRefused: the tables do not fit; the message names table, column and fix.</exception>
    public static RelationMapping Create(Relation relation, LocalTable? table, NodeName origin)
    {
        if (table is null)
        {
            throw Refuse($"node '{origin}' sends rows of table {relation.Name}, which this database does not have. Create it (or a table {relation.Root}), or exclude it on every node.");
        }

        foreach (var column in relation.Columns)
        {
            if (table.OrdinalOf(column.Name) < 0)
            {
                throw Refuse($"table {table.Name} has no column '{column.Name}' ({column.TypeName}), which node '{origin}' sends. Add it: ALTER TABLE {table.Name} ADD COLUMN {column.Name} {column.TypeName}.");
            }
        }

        var remoteKeys = relation.KeyOrdinals.Select(i => relation.Columns[i].Name).Order(StringComparer.Ordinal);
        var localKeys = table.KeyOrdinals.Select(i => table.Columns[i].Name).Order(StringComparer.Ordinal);
        if (!remoteKeys.SequenceEqual(localKeys, StringComparer.Ordinal))
        {
            throw Refuse($"the primary key of {table.Name} is ({string.Join(", ", localKeys)}) here and ({string.Join(", ", remoteKeys)}) on node '{origin}'. Make them equal.");
        }

        foreach (var column in table.KeyOrdinals.Select(i => table.Columns[i]))
        {
            var remote = relation.Columns[relation.OrdinalOf(column.Name)].TypeName;
            if (!KeyTypes.WriteAlike(remote, column.TypeName))
                throw Refuse($"key column '{column.Name}' of {table.Name} is {column.TypeName} here and {remote} on node '{origin}': nodes tell rows by the texts of their keys, which may differ. Give both the same type.");
        }

        return new RelationMapping(
            relation,
            table,
            [.. table.Columns.Select(column => relation.OrdinalOf(column.Name))],
            [.. table.KeyOrdinals.Select(i => relation.OrdinalOf(table.Columns[i].Name))]);
    }

    /// <summary>The image in local column order; a local column that the peer does not send reads as Unchanged.</summary>
    public ColumnValue[] ToLocal(ColumnValue[] remote)
    {
        var local = new ColumnValue[_remoteOrdinals.Length];
        for (var i = 0; i < local.Length; i++)
        {
            local[i] = _remoteOrdinals[i] < 0 ? ColumnValue.Unchanged : remote[_remoteOrdinals[i]];
        }

        return local;
    }

    /// <summary>The key that an image holds.</summary>
    public RowKey KeyOf(ColumnValue[] remote)
    {
        var values = new string[_remoteKeyOrdinals.Length];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = remote[_remoteKeyOrdinals[i]].Text
                ?? throw new ReplicationException(ReplicationErrorKind.Corrupt, $"A change of {Relation.Name} arrived without its primary key.");
        }

        return new RowKey(Table.Name, values);
    }

    /// <summary>Whether a local column came from the peer (as opposed to one that only exists here).</summary>
    public bool IsSent(int localOrdinal) => _remoteOrdinals[localOrdinal] >= 0;

    private static ReplicationException Refuse(string message) =>
        new(ReplicationErrorKind.ApplyRefused, char.ToUpperInvariant(message[0]) + message[1..]);
}
