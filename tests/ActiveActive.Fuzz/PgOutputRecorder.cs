using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Fuzz;

/// <summary>Writes down what a real server's pgoutput says: a message a line, an empty line between two streams.</summary>
internal static class PgOutputRecorder
{
    private static readonly string[] s_streams =
    [
        """
        INSERT INTO t VALUES (1, 'grüß 🙂', NULL), (2, '', 1.5);
        UPDATE t SET body = 'x' WHERE id = 1;
        UPDATE t SET id = 3 WHERE id = 2;
        DELETE FROM t WHERE id = 3;
        """,
        """
        BEGIN;
        INSERT INTO whole VALUES ('a', 1), ('b', 2);
        UPDATE whole SET n = n + 1;
        DELETE FROM whole WHERE name = 'a';
        COMMIT;
        TRUNCATE t, whole RESTART IDENTITY CASCADE;
        """,
        """
        INSERT INTO t SELECT i, string_agg(md5((i * j)::text), ''), i FROM generate_series(10, 12) i, generate_series(1, 80) j GROUP BY i;
        UPDATE t SET n = 0 WHERE id >= 10;
        """,
        """
        BEGIN;
        SELECT pg_logical_emit_message(true, 'active_active', '842000000123456');
        INSERT INTO kinds VALUES (1, 'happy', '{1,2,NULL}', '[1,5)', '2026-11-27 12:00+00', '\xdeadbeef', '{"k": [1]}');
        COMMIT;
        SELECT pg_logical_emit_message(false, 'other', 'between transactions');
        """,
        """
        SELECT pg_replication_origin_create('active_active_16384_us');
        SELECT pg_replication_origin_session_setup('active_active_16384_us');
        BEGIN;
        SELECT pg_replication_origin_xact_setup('0/1234', '2026-11-27 12:00+00');
        INSERT INTO t VALUES (50, 'from another node', 1);
        COMMIT;
        SELECT pg_replication_origin_session_reset();
        """,
    ];

    public static async Task<int> RecordAsync(string path)
    {
        await using var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 18 });
        await server.CreateDatabaseAsync("recorded");
        await using var source = NpgsqlDataSource.Create(server.ConnectionStringFor("recorded"));
        await using var connection = await source.OpenConnectionAsync();
        await ExecuteAsync(connection, """
            CREATE TYPE mood AS ENUM ('sad', 'happy');
            CREATE TABLE t (id int PRIMARY KEY, body text, n numeric);
            CREATE TABLE whole (name text, n int);
            ALTER TABLE whole REPLICA IDENTITY FULL;
            ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
            CREATE TABLE kinds (id int PRIMARY KEY, m mood, a int[], r int4range, at timestamptz, b bytea, j jsonb);
            CREATE PUBLICATION recorded FOR ALL TABLES;
            """);
        await ExecuteAsync(connection, "SELECT pg_create_logical_replication_slot('recorded', 'pgoutput')");
        await using var file = new StreamWriter(path) { NewLine = "\n" };
        await file.WriteLineAsync($"# pgoutput of PostgreSQL {server.Version}, a message a line. Made by: dotnet run -c Release --project tests/ActiveActive.Fuzz -- record tests/ActiveActive.Fuzz/Corpus/pgoutput.txt");
        foreach (var stream in s_streams)
        {
            // By themselves: several statements sent at once are one transaction.
            foreach (var statement in stream.Split(";\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)) await ExecuteAsync(connection, statement);
            await using var command = new NpgsqlCommand(
                "SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes('recorded', NULL, NULL, 'proto_version', '1', 'publication_names', 'recorded', 'messages', 'true')", connection);
            await using var reader = await command.ExecuteReaderAsync();
            while (await reader.ReadAsync()) await file.WriteLineAsync(reader.GetString(0));
            await file.WriteLineAsync();
        }

        Console.WriteLine($"Recorded from PostgreSQL {server.Version} to {path}.");
        return 0;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
