using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Reads what earlier set-ups left behind.</summary>
internal static class NodeCatalog
{
    private const string OwnersSql =
        """
        SELECT 'schema ' || nspname || ' (owner ' || pg_get_userbyid(nspowner) || ')'
        FROM pg_namespace WHERE nspname = 'active_active' AND NOT pg_has_role(nspowner, 'USAGE')
        UNION ALL
        SELECT 'table ' || oid::regclass || ' (owner ' || pg_get_userbyid(relowner) || ')'
        FROM pg_class WHERE relnamespace = to_regnamespace('active_active') AND relkind = 'r' AND NOT pg_has_role(relowner, 'USAGE')
        UNION ALL
        SELECT 'publication ' || pubname || ' (owner ' || pg_get_userbyid(pubowner) || ')'
        FROM pg_publication WHERE pubname = 'active_active' AND NOT pg_has_role(pubowner, 'USAGE')
        ORDER BY 1
        """;

    private const string SlotsSql =
        """
        SELECT slot_name::text, database::text, plugin::text, temporary, active_pid, confirmed_flush_lsn, coalesce(wal_status = 'lost', false)
        FROM pg_replication_slots WHERE slot_name = $1 OR starts_with(slot_name::text, $2)
        """;

    private const string PublicationTablesSql =
        """
        SELECT c.oid, n.nspname::text, c.relname::text, r.prattrs IS NOT NULL OR r.prqual IS NOT NULL
        FROM pg_publication p
        JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.pubname = 'active_active'
        """;

    public static async Task<NodeFacts> ReadAsync(NpgsqlConnection connection, ServerFacts server, CancellationToken cancellationToken)
    {
        var (slot, hasCatchUpSlot) = await ReadSlotAsync(connection, server.DatabaseOid, cancellationToken);
        var facts = new NodeFacts
        {
            HasSchema = await ScalarAsync<bool>(connection, "SELECT to_regnamespace('active_active') IS NOT NULL", cancellationToken),
            OwnedByOthers = await ReadAllAsync(connection, OwnersSql, r => r.GetString(0), cancellationToken),
            Slot = slot,
            HasCatchUpSlot = hasCatchUpSlot,
            Publication = await ReadPublicationAsync(connection, server, cancellationToken),
            Origins = await ReadOriginsAsync(connection, server.DatabaseOid, cancellationToken),
        };
        // What belongs to another role can't be read; that problem is reported instead.
        return facts.HasSchema && facts.OwnedByOthers.Count == 0 ? await ReadOwnTablesAsync(connection, facts, cancellationToken) : facts;
    }

    private static async Task<NodeFacts> ReadOwnTablesAsync(NpgsqlConnection connection, NodeFacts facts, CancellationToken cancellationToken)
    {
        if (!await ScalarAsync<bool>(connection, "SELECT to_regclass('active_active.schema_version') IS NOT NULL", cancellationToken)) return facts;
        var step = await ScalarAsync<int>(connection, "SELECT coalesce(max(step), 0) FROM active_active.schema_version", cancellationToken);
        // A newer schema may look different: nothing more is read of it, and it is refused.
        if (step == 0 || step > PostgresSchema.Steps.Count) return facts with { SchemaStep = step };

        var nodes = await ReadAllAsync(connection,
            "SELECT name, system_identifier, timeline, database_oid, incarnation FROM active_active.node WHERE is_local",
            r => new LocalNodeRow(r.GetString(0), (ulong)r.GetDecimal(1), (uint)r.GetInt64(2), (uint)r.GetInt64(3), r.GetGuid(4)), cancellationToken);
        var checkpoints = await ReadAllAsync(connection,
            """
            SELECT position, ARRAY(SELECT jsonb_object_keys(CASE jsonb_typeof(applied) WHEN 'object' THEN applied ELSE '{}' END))
            FROM active_active.checkpoint
            """,
            r => new CheckpointRow(r.GetFieldValue<NpgsqlLogSequenceNumber>(0), r.GetFieldValue<string[]>(1)), cancellationToken);
        return facts with { SchemaStep = step, Local = nodes.SingleOrDefault(), Checkpoint = checkpoints.SingleOrDefault() };
    }

    private static async Task<(SlotFacts? Slot, bool HasCatchUpSlot)> ReadSlotAsync(NpgsqlConnection connection, uint databaseOid, CancellationToken cancellationToken)
    {
        var own = PostgresNames.Slot(databaseOid);
        var slots = await ReadAllAsync(connection, SlotsSql,
            r => new SlotFacts(r.GetString(0))
            {
                Database = r.IsDBNull(1) ? null : r.GetString(1),
                Plugin = r.IsDBNull(2) ? null : r.GetString(2),
                IsTemporary = r.GetBoolean(3),
                ActivePid = r.IsDBNull(4) ? null : r.GetInt32(4),
                ConfirmedFlush = r.IsDBNull(5) ? default : r.GetFieldValue<NpgsqlLogSequenceNumber>(5),
                IsLost = r.GetBoolean(6),
            },
            cancellationToken, own, $"aa_{databaseOid}_to_");
        return (slots.SingleOrDefault(s => s.Name == own), slots.Any(s => s.Name != own));
    }

    private static async Task<PublicationFacts?> ReadPublicationAsync(NpgsqlConnection connection, ServerFacts server, CancellationToken cancellationToken)
    {
        var generated = server.Version >= 180000 ? "pubgencols = 'n'" : "true";
        var publications = await ReadAllAsync(connection,
            $"""
            SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot AND {generated},
                   ARRAY(SELECT nspname::text FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid ORDER BY 1)
            FROM pg_publication p WHERE pubname = 'active_active'
            """,
            r => new PublicationFacts { ForAllTables = r.GetBoolean(0), HasRightOptions = r.GetBoolean(1), Schemas = r.GetFieldValue<string[]>(2) }, cancellationToken);
        if (publications.Count == 0) return null;
        var tables = await ReadAllAsync(connection, PublicationTablesSql,
            r => new PublishedTable(r.GetFieldValue<uint>(0), new TableName(r.GetString(1), r.GetString(2)), r.GetBoolean(3)), cancellationToken);
        return publications[0] with { Tables = tables };
    }

    private static async Task<IReadOnlyList<NodeName>> ReadOriginsAsync(NpgsqlConnection connection, uint databaseOid, CancellationToken cancellationToken)
    {
        var names = await ReadAllAsync(connection, "SELECT roname FROM pg_replication_origin WHERE starts_with(roname, $1)",
            r => PostgresNames.NodeOf(databaseOid, r.GetString(0)), cancellationToken, PostgresNames.OriginPrefix(databaseOid));
        return [.. names.Where(n => !n.IsNone)];
    }

    private static async Task<IReadOnlyList<T>> ReadAllAsync<T>(
        NpgsqlConnection connection, string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params string[] arguments)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        foreach (var argument in arguments) command.Parameters.Add(new NpgsqlParameter { Value = argument });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken)) rows.Add(read(reader));
        return rows;
    }

    private static async Task<T> ScalarAsync<T>(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync(cancellationToken))!;
    }
}
