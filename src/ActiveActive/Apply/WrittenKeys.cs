using System.Buffers;
using System.Text;
using System.Text.Json;
using ActiveActive.Changes;

namespace ActiveActive.Apply;

/// <summary>
/// Which rows a transaction writes, told from the transaction alone: the table may be missing here. A key's values stand in the order of
/// their columns' names, since two nodes may have the columns in different orders.
/// </summary>
internal sealed class WrittenKeys
{
    // A transaction that writes more rows of a table counts as writing all of them: what is kept in memory has a limit.
    private const int MaxKeysPerTable = 1_000;

    // Null stands for the whole table.
    private readonly SortedDictionary<TableName, HashSet<string>?> _keys = [];
    private readonly int _maxKeysPerTable;

    public WrittenKeys() : this(MaxKeysPerTable)
    {
    }

    private WrittenKeys(int maxKeysPerTable) => _maxKeysPerTable = maxKeysPerTable;

    /// <summary>The tables, by the name of their root.</summary>
    public IReadOnlyList<TableName> Tables => [.. _keys.Keys];

    /// <summary>Exactly what one part writes, to be compared and not to be kept.</summary>
    public static WrittenKeys Of(ChangeTransaction part)
    {
        var keys = new WrittenKeys(int.MaxValue);
        keys.Add(part);
        return keys;
    }

    public void Add(ChangeTransaction part)
    {
        foreach (var change in part.Changes)
        {
            var relation = change.Relation;
            if (change.Kind == ChangeKind.Truncate)
            {
                _keys[relation.Root] = null;
                continue;
            }

            if (change.OldRow is { } old) Add(relation, old);
            if (change.NewRow is { } row) Add(relation, row);
        }
    }

    public bool Overlaps(WrittenKeys other)
    {
        foreach (var (table, keys) in _keys)
        {
            if (!other._keys.TryGetValue(table, out var others)) continue;
            if (keys is null || others is null || (keys.Count < others.Count ? others.Overlaps(keys) : keys.Overlaps(others))) return true;
        }

        return false;
    }

    /// <summary>The stored form: an object of one array of key texts for each table, or null for all of its rows.</summary>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var (table, keys) in _keys)
            {
                writer.WritePropertyName(table.ToString());
                if (keys is null)
                {
                    writer.WriteNullValue();
                    continue;
                }

                writer.WriteStartArray();
                foreach (var key in keys) writer.WriteStringValue(key);
                writer.WriteEndArray();
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    public static WrittenKeys Parse(string json)
    {
        var keys = new WrittenKeys();
        using var document = JsonDocument.Parse(json);
        foreach (var table in document.RootElement.EnumerateObject())
        {
            keys._keys.Add(TableName.Parse(table.Name), table.Value.ValueKind == JsonValueKind.Null
                ? null
                : new HashSet<string>(table.Value.EnumerateArray().Select(k => k.GetString()!), StringComparer.Ordinal));
        }

        return keys;
    }

    private void Add(Relation relation, ColumnValue[] row)
    {
        if (!_keys.TryGetValue(relation.Root, out var keys)) _keys.Add(relation.Root, keys = new HashSet<string>(StringComparer.Ordinal));
        if (keys is null) return;
        keys.Add(KeyText.Write([.. relation.KeyOrdinals.OrderBy(i => relation.Columns[i].Name, StringComparer.Ordinal).Select(i => row[i].Text ?? "")]));
        if (keys.Count > _maxKeysPerTable) _keys[relation.Root] = null;
    }
}
