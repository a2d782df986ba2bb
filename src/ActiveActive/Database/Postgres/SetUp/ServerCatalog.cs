using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Reads what the checks want to know of the server and the role.</summary>
internal static class ServerCatalog
{
    private const string Sql =
        """
        SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('wal_level'),
               current_setting('track_commit_timestamp')::bool,
               current_setting('max_replication_slots')::int, (SELECT count(*)::int FROM pg_replication_slots),
               current_setting('max_wal_senders')::int, (SELECT count(*)::int FROM pg_stat_replication),
               coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int,
               (SELECT count(*)::int FROM pg_replication_origin),
               current_setting('server_encoding'), current_setting('default_transaction_read_only')::bool,
               d.datname::text, d.oid, (SELECT system_identifier FROM pg_control_system()),
               CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
               CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END,
               r.rolname::text, r.rolreplication OR r.rolsuper,
               has_database_privilege(d.oid, 'CREATE'),
               has_parameter_privilege('session_replication_role', 'SET'),
               ARRAY(SELECT f FROM unnest($1::text[]) WITH ORDINALITY AS u(f, n)
                     WHERE NOT has_function_privilege('pg_catalog.' || f, 'EXECUTE') ORDER BY n)
        FROM pg_database d, pg_roles r
        WHERE d.datname = current_database() AND r.rolname = current_user
        """;

    public static async Task<int> ReadVersionAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT current_setting('server_version_num')::int", connection);
        return (int)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    public static async Task<(ServerFacts Server, RoleFacts Role)> ReadAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(Sql, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = RoleFacts.RequiredFunctions.ToArray() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var server = new ServerFacts
        {
            Version = reader.GetInt32(0),
            IsInRecovery = reader.GetBoolean(1),
            WalLevel = reader.GetString(2),
            TracksCommitTimestamps = reader.GetBoolean(3),
            MaxReplicationSlots = reader.GetInt32(4),
            ReplicationSlots = reader.GetInt32(5),
            MaxWalSenders = reader.GetInt32(6),
            WalSenders = reader.GetInt32(7),
            MaxReplicationOrigins = reader.GetInt32(8),
            ReplicationOrigins = reader.GetInt32(9),
            Encoding = reader.GetString(10),
            IsReadOnlyByDefault = reader.GetBoolean(11),
            Database = reader.GetString(12),
            DatabaseOid = reader.GetFieldValue<uint>(13),
            SystemIdentifier = unchecked((ulong)reader.GetInt64(14)),
            Timeline = reader.IsDBNull(15) ? 0 : Convert.ToUInt32(reader.GetString(15), 16),
            WalPosition = reader.IsDBNull(16) ? default : reader.GetFieldValue<NpgsqlLogSequenceNumber>(16),
        };
        var role = new RoleFacts
        {
            Name = reader.GetString(17),
            MayReplicate = reader.GetBoolean(18),
            MayCreateInDatabase = reader.GetBoolean(19),
            MaySetReplicationRole = reader.GetBoolean(20),
            MissingFunctions = reader.GetFieldValue<string[]>(21),
        };
        return (server, role);
    }
}
