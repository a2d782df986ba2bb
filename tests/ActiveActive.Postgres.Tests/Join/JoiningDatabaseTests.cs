using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Postgres.Tests.SetUp;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.Join;

/// <summary>What joining needs of PostgreSQL in particular, with a role made by docs/setup-role.sql; the rest is in the compliance suite.</summary>
[Collection(nameof(SetUpServers))]
[Trait("Story", "19")]
public sealed class JoiningDatabaseTests(SetUpServers servers)
{
    private const string Tables =
        """
        CREATE TYPE mood AS ENUM ('glad', 'sad');
        CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 10) PRIMARY KEY, raw bytea, words text[], m mood, n numeric, twice numeric GENERATED ALWAYS AS (n * 2) STORED, at timestamptz);
        CREATE TABLE parts (id bigint, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
        CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
        """;

    private const string Filled =
        """
        INSERT INTO plain (raw, words, m, n, at) VALUES ('\x00ff5c0a', ARRAY['a,b', 'c"d', NULL, '\n'], 'sad', 1.50, '2026-01-02 03:04:05.678901+00'), (NULL, '{}', NULL, NULL, 'infinity'), (NULL, NULL, 'glad', 'NaN', NULL);
        INSERT INTO parts VALUES (1, 'a'), (2, 'b'), (3, 'b');
        """;

    private static readonly NodeName s_us = new("us");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public Task Whole_join_needs_no_more_rights_than_the_scripts() => JoinAsync(18);

    [Fact]
    [Trait("Run", "Long")]
    public Task Whole_join_on_the_oldest_version() => JoinAsync(15);

    private async Task JoinAsync(int version)
    {
        var server = await servers.GetAsync(version);
        await using var from = await SetUpDatabase.CreateAsync(server, Tables + Filled);
        await using var to = await SetUpDatabase.CreateAsync(server, Tables);
        await using var donor = Open(from, "us", "eu");
        await using var joiner = Open(to, "eu", "us");
        await donor.SetUpAsync(isJoining: false, Token);
        await joiner.SetUpAsync(isJoining: true, Token);

        await joiner.BeginJoinAsync(Token);
        foreach (var sql in (string[])["INSERT INTO parts_b VALUES (9, 'b')", "UPDATE parts SET id = id", "TRUNCATE plain"])
        {
            var refused = await Assert.ThrowsAsync<PostgresException>(() => to.AsOwnerAsync(sql));
            Assert.Equal(PostgresErrorCodes.ObjectNotInPrerequisiteState, refused.SqlState);
            Assert.StartsWith("AA5001:", refused.MessageText, StringComparison.Ordinal);
        }

        await using (var snapshot = await donor.OpenSnapshotAsync(Token))
        {
            var tables = await snapshot.ReadTablesAsync(Token);
            Assert.Equal(["active_active.orphan", "public.parts", "public.plain"], tables.Select(t => t.Table.Name.ToString()).Order(StringComparer.Ordinal));
            foreach (var table in tables) await CopyAsync(snapshot, table, joiner);
            // The slot was only needed to take the snapshot.
            Assert.Equal(0, await from.ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND temporary"));
        }

        await joiner.EndJoinAsync(DependencyVector.Empty.Advance(s_us, new NpgsqlLogSequenceNumber(0x1234)), CommitTimestamp.Unknown, [new Member(s_us, MemberState.Joined)], Token);

        foreach (var table in (string[])["plain", "parts_a", "parts_b"])
        {
            var all = $"SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY id), '') FROM {table} t";
            Assert.Equal(await from.ScalarAsync<string>(all), await to.ScalarAsync<string>(all));
        }

        Assert.Equal(0, await to.ScalarAsync<long>("SELECT count(*) FROM pg_trigger WHERE tgname = 'active_active_joining'"));
        Assert.Equal("0/1234", await to.ScalarAsync<string>($"SELECT pg_replication_origin_progress('{PostgresNames.Origin(to.Oid, s_us)}', true)::text"));
        Assert.Equal((await joiner.FindCheckpointAsync(Token))!.Position.ToString(), await to.ScalarAsync<string>($"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{to.Slot}'"));
        await to.AsOwnerAsync("INSERT INTO parts_b VALUES (9, 'b')");
        // Nothing is left to do.
        var next = await to.NextTransactionAsync();
        await joiner.SetUpAsync(isJoining: true, Token);
        Assert.Equal(next, await to.NextTransactionAsync());
    }

    [Fact]
    public async Task Snapshot_of_a_table_that_was_truncated_or_rewritten_since_is_not_taken_for_empty()
    {
        await using var from = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables + Filled);
        await using var donor = Open(from, "us", "eu");
        await donor.SetUpAsync(isJoining: false, Token);
        await using var snapshot = await donor.OpenSnapshotAsync(Token);
        var tables = await snapshot.ReadTablesAsync(Token);
        await from.AsOwnerAsync("ALTER TABLE plain ALTER COLUMN at TYPE text; TRUNCATE parts_a");

        // A later snapshot meets them first, and then their rows are known again: what the earlier one shows is not.
        await using (var later = await donor.OpenSnapshotAsync(Token))
        {
            foreach (var table in (await later.ReadTablesAsync(Token)).Where(t => t.Table.Name.Schema == "public"))
            {
                Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => ReadAsync(later.ReadRowsAsync(table, Token)))).Kind);
            }
        }

        await using (var later = await donor.OpenSnapshotAsync(Token))
        {
            foreach (var table in await later.ReadTablesAsync(Token)) await ReadAsync(later.ReadRowsAsync(table, Token));
        }

        foreach (var name in (string[])["plain", "parts"])
        {
            var table = tables.Single(t => t.Table.Name.Name == name);
            Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => ReadAsync(snapshot.ReadRowsAsync(table, Token)))).Kind);
            Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => ReadAsync(snapshot.ReadKeysAsync(table, 3, Token)))).Kind);
        }
    }

    [Fact]
    public async Task Reader_of_a_snapshot_may_stop_anywhere()
    {
        await using var from = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t SELECT repeat('x', 1000) || n FROM generate_series(1, 2000) n");
        await using var donor = Open(from, "us", "eu");
        await donor.SetUpAsync(isJoining: false, Token);
        await using var snapshot = await donor.OpenSnapshotAsync(Token);
        var table = (await snapshot.ReadTablesAsync(Token)).Single(t => t.Table.Name.Name == "t");

        await foreach (var chunk in snapshot.ReadRowsAsync(table, Token))
        {
            Assert.True(chunk.Length > 0);
            break;
        }

        await foreach (var key in snapshot.ReadKeysAsync(table, 3, Token))
        {
            Assert.True(key.Xid > 0);
            break;
        }

        Assert.True(await ReadAsync(snapshot.ReadRowsAsync(table, Token)) > 10);
    }

    [Fact]
    public async Task Copied_table_that_was_rewritten_before_the_join_ended_is_copied_again()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables);
        await using var joiner = Open(to, "eu", "us");
        await joiner.SetUpAsync(isJoining: true, Token);
        await joiner.BeginJoinAsync(Token);
        await CopyAsync(joiner, "public.parts", ["id", "region"], "1\ta\n");
        await to.SqlAsync("VACUUM FULL parts_a");

        var refused = await Assert.ThrowsAsync<ReplicationException>(() => EndAsync(joiner));

        Assert.Equal(ReplicationErrorKind.Transient, refused.Kind);
        Assert.Contains("parts_a", refused.Message, StringComparison.Ordinal);
        Assert.Null(await joiner.FindCheckpointAsync(Token));
        await Assert.ThrowsAsync<PostgresException>(() => to.AsOwnerAsync("INSERT INTO parts VALUES (2, 'a')"));
        await joiner.BeginJoinAsync(Token);
        // The slot of the try that failed would hold back the log.
        Assert.Equal(0, await to.ScalarAsync<long>($"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{to.Slot}'"));
        await EndAsync(joiner);
        Assert.Equal(0, await to.ScalarAsync<long>("SELECT count(*) FROM parts"));
    }

    [Fact]
    public async Task Table_that_does_not_replicate_may_reference_one_that_is_filled_again()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), "CREATE TABLE t (id bigint PRIMARY KEY); CREATE TABLE note (t_id bigint REFERENCES t)");
        await using var joiner = Open(to, "eu", "us", new TableRule { Pattern = "t" });
        await joiner.SetUpAsync(isJoining: true, Token);
        await joiner.BeginJoinAsync(Token);
        await CopyAsync(joiner, "public.t", ["id"], "1\n");

        await joiner.BeginJoinAsync(Token);

        Assert.Equal(0, await to.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    [Fact]
    public async Task Of_two_instances_that_join_the_later_one_counts()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables);
        await using var first = Open(to, "eu", "us");
        await using var second = Open(to, "eu", "us");
        await first.SetUpAsync(isJoining: true, Token);
        await first.BeginJoinAsync(Token);
        await CopyAsync(first, "public.parts", ["id", "region"], "1\ta\n");
        await second.BeginJoinAsync(Token);

        foreach (var attempt in (Func<Task>[])[() => CopyAsync(first, "public.parts", ["id", "region"], "1\ta\n"), () => EndAsync(first)])
        {
            Assert.Equal(ReplicationErrorKind.InUse, (await Assert.ThrowsAsync<ReplicationException>(attempt)).Kind);
        }

        await EndAsync(second);
        // Somebody relies on the slot now.
        Assert.Equal(ReplicationErrorKind.InUse, (await Assert.ThrowsAsync<ReplicationException>(() => first.BeginJoinAsync(Token).AsTask())).Kind);
        Assert.Equal(0, await to.ScalarAsync<long>("SELECT count(*) FROM parts"));
    }

    [Fact]
    public async Task Reader_that_holds_a_table_does_not_keep_the_join_from_its_end()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables);
        await using var joiner = Open(to, "eu", "us");
        await joiner.SetUpAsync(isJoining: true, Token);
        await joiner.BeginJoinAsync(Token);
        await using (var report = new NpgsqlConnection(to.ConnectionString))
        {
            await report.OpenAsync(Token);
            await using var transaction = await report.BeginTransactionAsync(Token);
            await using (var read = new NpgsqlCommand("SELECT count(*) FROM parts", report)) await read.ExecuteScalarAsync(Token);
            await EndAsync(joiner);
            await to.AsOwnerAsync("INSERT INTO parts VALUES (1, 'a')");
        }

        Assert.True(await to.ScalarAsync<long>("SELECT count(*) FROM pg_trigger WHERE tgname = 'active_active_joining'") > 0);
        await joiner.SetUpAsync(isJoining: true, Token);
        Assert.Equal(0, await to.ScalarAsync<long>("SELECT count(*) FROM pg_trigger WHERE tgname = 'active_active_joining'"));
    }

    [Fact]
    public async Task Node_that_is_set_up_without_joining_after_all_lets_writers_in()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables);
        await using var joiner = Open(to, "eu", "us");
        await joiner.SetUpAsync(isJoining: true, Token);
        await joiner.BeginJoinAsync(Token);
        await joiner.SetUpAsync(isJoining: false, Token);
        await to.AsOwnerAsync("INSERT INTO parts VALUES (1, 'a')");
        Assert.NotNull(await joiner.FindCheckpointAsync(Token));
    }

    [Fact]
    public async Task Refused_copy_names_line_and_column_and_no_value()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables);
        await using var joiner = Open(to, "eu", "us");
        await joiner.SetUpAsync(isJoining: true, Token);
        await joiner.BeginJoinAsync(Token);

        var refused = await Assert.ThrowsAsync<ReplicationException>(() => CopyAsync(joiner, "public.parts", ["id", "region"], "1\ta\nsecret\ta\n"));

        Assert.Equal(ReplicationErrorKind.ApplyRefused, refused.Kind);
        Assert.Contains("public.parts (line 2, column id)", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Source_that_breaks_off_commits_nothing()
    {
        await using var to = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), Tables);
        await using var joiner = Open(to, "eu", "us");
        await joiner.SetUpAsync(isJoining: true, Token);
        await joiner.BeginJoinAsync(Token);
        await using var session = await joiner.OpenCopySessionAsync(Token);
        var table = await FindAsync(session, "public.parts");
        await session.BeginAsync(Token);

        await Assert.ThrowsAsync<ReplicationException>(() => session.CopyAsync(table, ["id", "region"], BreakOffAsync(), Token).AsTask());
        await Record.ExceptionAsync(() => session.CommitAsync(Token).AsTask());

        Assert.Equal(0, await to.ScalarAsync<long>("SELECT count(*) FROM parts"));
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> BreakOffAsync()
    {
        yield return "1\ta\n"u8.ToArray();
        await Task.Yield();
        throw new IOException("The donor is gone.");
    }

    private static PostgresDatabase Open(SetUpDatabase database, string node, string peer, TableRule? rule = null) => new(new PostgresDatabaseOptions
    {
        Node = new NodeName(node),
        ConnectionString = database.ConnectionString,
        Peers = [new NodeName(peer)],
        Tables = new ReplicatedTables([rule ?? new TableRule { Pattern = "public.*", AllowSequenceKeys = true }]),
    });

    private static Task EndAsync(PostgresDatabase joiner) => joiner.EndJoinAsync(DependencyVector.Empty, CommitTimestamp.Unknown, [new Member(s_us, MemberState.Joined)], Token).AsTask();

    private static async Task<LocalTable> FindAsync(ICopySession session, string table) =>
        (await session.FindTableAsync(new Relation(TableName.Parse(table), TableName.Parse(table), []), Token))!;

    private static async Task CopyAsync(IDataSnapshot snapshot, SnapshotTable table, PostgresDatabase joiner)
    {
        await using var session = await joiner.OpenCopySessionAsync(Token);
        var target = await FindAsync(session, table.Table.Name.ToString());
        await session.BeginAsync(Token);
        await session.CopyAsync(target, [.. table.Table.Columns.Select(c => c.Name)], snapshot.ReadRowsAsync(table, Token), Token);
        await session.CommitAsync(Token);
    }

    private static async Task CopyAsync(PostgresDatabase joiner, string table, string[] columns, string text)
    {
        await using var session = await joiner.OpenCopySessionAsync(Token);
        var target = await FindAsync(session, table);
        await session.BeginAsync(Token);
        await session.CopyAsync(target, columns, new[] { (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(text) }.ToAsyncEnumerable(), Token);
        await session.CommitAsync(Token);
    }

    private static async Task<int> ReadAsync<T>(IAsyncEnumerable<T> items)
    {
        var count = 0;
        await foreach (var item in items) count++;
        return count;
    }
}
