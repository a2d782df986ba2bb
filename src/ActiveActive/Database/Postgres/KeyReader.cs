using System.Globalization;
using System.Text;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Reads all that stands under a set of keys in one round trip: the rows of each table (locked), then tombstones, overrides and
/// siblings. Under READ COMMITTED each statement has its own snapshot, so a tombstone is read as it is once the row is locked.
/// </summary>
internal sealed class KeyReader(NpgsqlConnection connection, LocalTableCatalog catalog, OriginNodes origins, RewrittenTables rewritten, bool isLocking = true)
{
    private const string NamedKeys = " FROM unnest(@tables, @keys) WITH ORDINALITY AS k(table_name, key, ord) JOIN active_active.";

    private const string SideTables =
        $"""
        SELECT k.ord, s.stamp, s.origin, s.position{NamedKeys}tombstone s USING (table_name, key)
        UNION ALL SELECT k.ord, b.stamp, b.origin, b.position{NamedKeys}tombstone_block b ON {TombstoneTable.Holds};
        SELECT k.ord, s.xid, s.stamp, s.origin, s.position, s.is_kept{NamedKeys}version_override s USING (table_name, key);
        SELECT k.ord, s.xid, s.versions{NamedKeys}sibling s USING (table_name, key)
        """;

    private const string Losers = $";\nSELECT k.ord, s.stamp, s.origin, s.position, s.\"row\"{NamedKeys}unique_loser s USING (table_name, key)";

    /// <param name="keys">The keys, of any tables.</param>
    /// <param name="prefix">A statement to send ahead, ending in a semicolon; or empty.</param>
    /// <param name="cancellationToken">Ends the wait for locks; the transaction must then be rolled back.</param>
    /// <exception cref="ReplicationException">Transient: a table has been rewritten, and what its rows show is not what was written; see <see cref="RewrittenTables"/>.</exception>
    public async ValueTask<IReadOnlyList<KeyState>> ReadAsync(IReadOnlyList<LocalKey> keys, string prefix, CancellationToken cancellationToken)
    {
        // Locked in the order in which the transaction touched them: an application whose transactions lock in one order everywhere then
        // has no deadlock with its own transactions coming back from a peer. Any other order would make some.
        var groups = Enumerable.Range(0, keys.Count).GroupBy(i => keys[i].Table)
            .Select(g => (Table: g.Key, Asked: g.ToArray())).ToList();

        // Npgsql's typed results come in binary; the text output of each column's own type is what is wanted.
        await using var command = new NpgsqlCommand { Connection = connection, AllResultTypesAreUnknown = true };
        var sql = new StringBuilder(prefix);
        for (var g = 0; g < groups.Count; g++) AppendRowRead(command, sql, $"g{g}k", groups[g].Table, groups[g].Asked, keys);
        var hasUniqueKeys = groups.Exists(static g => g.Table.HasUniqueKeys);
        command.CommandText = sql.Append(SideTables).Append(hasUniqueKeys ? Losers : "").ToString();
        var names = AppendNames(command, groups, keys);

        var read = new Answer(keys.Count);
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
        {
            foreach (var (table, asked) in groups)
            {
                await ReadRowsAsync(reader, table, asked, read, cancellationToken);
                await reader.NextResultAsync(cancellationToken);
            }

            await ReadSidesAsync(reader, keys, names, read, cancellationToken);
            while (hasUniqueKeys && await reader.NextResultAsync(cancellationToken))
            {
                while (await reader.ReadAsync(cancellationToken))
                {
                    var at = Number(reader, 0) - 1;
                    read.Losers[at] = new UniqueLoser(TombstoneTable.ReadVersion(reader, 1), RowText.Read(keys[(int)at].Table, reader.GetString(4)));
                }
            }
        }

        if (read.HasNewOrigin) await origins.LoadAsync(connection, cancellationToken);
        return read.ToStates(origins, keys, rewritten);
    }

    private void AppendRowRead(NpgsqlCommand command, StringBuilder sql, string prefix, LocalTable table, int[] asked, IReadOnlyList<LocalKey> keys)
    {
        sql.Append(catalog.StatementsOf(table).ReadKeys(prefix, isLocking)).Append(";\n");
        for (var c = 0; c < table.KeyOrdinals.Count; c++)
        {
            var column = c;
            var parameter = SqlParameters.Texts(Array.ConvertAll(asked, i => keys[i].Key.Values[column]));
            parameter.ParameterName = prefix + c.ToString(CultureInfo.InvariantCulture);
            command.Parameters.Add(parameter);
        }
    }

    // One name per asked key, in that order, then one per table with the empty key, which stands for the whole table.
    private static List<LocalTable> AppendNames(
        NpgsqlCommand command, List<(LocalTable Table, int[] Asked)> groups, IReadOnlyList<LocalKey> keys)
    {
        var whole = groups.Select(g => g.Table).ToList();
        var tables = SqlParameters.Texts([.. keys.Select(k => k.Table.Name.ToString()), .. whole.Select(t => t.Name.ToString())]);
        tables.ParameterName = "tables";
        var texts = SqlParameters.Texts([.. keys.Select(k => k.Key.ToText()), .. whole.Select(_ => "")]);
        texts.ParameterName = "keys";
        command.Parameters.Add(tables);
        command.Parameters.Add(texts);
        return whole;
    }

    private async ValueTask ReadRowsAsync(
        NpgsqlDataReader reader, LocalTable table, int[] asked, Answer read, CancellationToken cancellationToken)
    {
        while (await reader.ReadAsync(cancellationToken))
        {
            var values = new ColumnValue[table.Columns.Count];
            for (var c = 0; c < values.Length; c++)
            {
                var at = c + ApplyStatements.LeadingColumns;
                values[c] = reader.IsDBNull(at) ? ColumnValue.Null : ColumnValue.Of(reader.GetString(at));
            }

            // With the row's lock comes one on its table, which keeps a rewrite out until the transaction ends.
            if (!rewritten.IsKnown(OidOf(reader, 5), OidOf(reader, 6))) throw rewritten.Note(table.Name);
            var origin = reader.IsDBNull(4) ? null : reader.GetString(4);
            read.HasNewOrigin |= !origins.TryGet(origin, out _);
            read.Rows[asked[Number(reader, 0) - 1]] = new FoundRow(
                values, uint.Parse(reader.GetString(1), CultureInfo.InvariantCulture),
                reader.IsDBNull(3) ? CommitTimestamp.Unknown : new CommitTimestamp(Number(reader, 3)), origin,
                !reader.IsDBNull(2) && reader.GetString(2) == "t");
        }
    }

    private static async ValueTask ReadSidesAsync(
        NpgsqlDataReader reader, IReadOnlyList<LocalKey> keys, List<LocalTable> whole, Answer read, CancellationToken cancellationToken)
    {
        while (await reader.ReadAsync(cancellationToken))
        {
            var at = Number(reader, 0) - 1;
            var version = TombstoneTable.ReadVersion(reader, 1);
            if (at < keys.Count) read.Tombstones[at] = read.Tombstones[at] is { } other && other.IsNewerThan(version) ? other : version;
            else read.TableTombstones[whole[(int)at - keys.Count]] = version;
        }

        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            read.Overrides[Number(reader, 0) - 1] = (Number(reader, 1), TombstoneTable.ReadVersion(reader, 2), reader.GetString(5) == "t");
        }

        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var at = Number(reader, 0) - 1;
            read.Siblings[at] = (Number(reader, 1), SiblingTable.Read(keys[(int)at].Table, reader.GetString(2)));
        }
    }

    private static uint OidOf(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? 0 : uint.Parse(reader.GetString(column), CultureInfo.InvariantCulture);

    private static long Number(NpgsqlDataReader reader, int column) => long.Parse(reader.GetString(column), CultureInfo.InvariantCulture);

    private sealed record FoundRow(ColumnValue[] Values, uint Xid, CommitTimestamp Stamp, string? Origin, bool IsOwnWrite);

    private sealed class Answer(int count)
    {
        public readonly FoundRow?[] Rows = new FoundRow?[count];
        public readonly RowVersion?[] Tombstones = new RowVersion?[count];
        public readonly Dictionary<LocalTable, RowVersion> TableTombstones = [];
        public readonly (long Xid, RowVersion Version, bool IsKept)?[] Overrides = new (long, RowVersion, bool)?[count];
        public readonly (long Xid, IReadOnlyList<Sibling> Versions)?[] Siblings = new (long, IReadOnlyList<Sibling>)?[count];

        public readonly UniqueLoser?[] Losers = new UniqueLoser?[count];

        public bool HasNewOrigin { get; set; }

        public KeyState[] ToStates(OriginNodes origins, IReadOnlyList<LocalKey> keys, RewrittenTables rewritten)
        {
            var states = new KeyState[Rows.Length];
            for (var i = 0; i < states.Length; i++)
            {
                var row = Rows[i] is { } found ? new LocalRow(found.Values, found.Xid, found.Stamp, origins.Get(found.Origin), found.IsOwnWrite) : null;
                var tombstone = Tombstones[i];
                RowVersion? whole = TableTombstones.TryGetValue(keys[i].Table, out var truncated) ? truncated : null;
                if (whole is { } later && (tombstone is null || later.IsNewerThan(tombstone.Value))) tombstone = whole;
                var entry = row is not null && Overrides[i] is { } stored && stored.Xid == row.Xid ? stored : default((long Xid, RowVersion Version, bool IsKept)?);
                RowVersion? trueVersion = row is null ? null : entry is { } valid ? valid.Version : rewritten.VersionOf(keys[i].Table.Name, row);
                var siblings = Siblings[i] is { } folded && folded.Xid == (row?.Xid ?? 0) ? folded.Versions : [];
                states[i] = new KeyState(row, tombstone, trueVersion, siblings) { TableTombstone = whole, Loser = Losers[i], IsOverrideKept = entry is { IsKept: true } };
            }

            return states;
        }
    }
}
