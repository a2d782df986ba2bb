using ActiveActive.Changes;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class RowChangeTests(CaptureServers servers)
{
    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Insert_update_delete_and_truncate_come_in_order(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE t (id int PRIMARY KEY, note text, n numeric)");
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("""
            BEGIN;
            INSERT INTO t VALUES (1, 'a', NULL), (2, '', 1.50);
            UPDATE t SET note = NULL WHERE id = 1;
            UPDATE t SET id = 3 WHERE id = 2;
            DELETE FROM t WHERE id = 1;
            COMMIT
            """);
        await database.ExecuteAsync("TRUNCATE t");
        var seen = await reader.ReadToMarkerAsync();

        Assert.Equal(2, seen.Count);
        Assert.Equal(
            [
                "public.t +(1, a, (null))", "public.t +(2, , 1.50)", "public.t >(1, (null), (null))",
                "public.t key(2, (null), (null))>(3, , 1.50)", "public.t -key(1, (null), (null))",
            ],
            RowText.Of(seen[0].Changes));
        Assert.Equal(["public.t truncate"], RowText.Of(seen[1].Changes));
        Assert.True(seen[0].Position < seen[1].Position);
        Assert.All(seen, transaction => Assert.True(transaction is { IsLastPart: true, Part: 0, ForeignOrigin.IsNone: true }));
        var relation = seen[0].Changes[0].Relation;
        Assert.Equal(
            [new("id", "integer", 1), new("note", "text", 0), new RelationColumn("n", "numeric", 0)],
            relation.Columns);
        Assert.Equal(relation.Name, relation.Root);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Header_is_the_xid_and_stamp_that_the_rows_show(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE t (id int PRIMARY KEY)");
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("INSERT INTO t VALUES (1)");
        var seen = Assert.Single(await reader.ReadToMarkerAsync());

        Assert.Equal(await database.ScalarAsync<string>("SELECT xmin::text FROM t"), seen.Xid.ToString(System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(
            await database.ScalarAsync<DateTime>("SELECT pg_xact_commit_timestamp(xmin) FROM t"),
            seen.Stamp.ToDateTimeOffset().UtcDateTime);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Full_identity_gives_whole_old_rows_and_the_true_primary_key(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version,
            "CREATE TABLE t (note text, b int, a int, PRIMARY KEY (a, b)); ALTER TABLE t REPLICA IDENTITY FULL");
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("INSERT INTO t VALUES ('x', 1, 2); UPDATE t SET note = NULL; UPDATE t SET b = 5; DELETE FROM t");
        var changes = await reader.ReadChangesAsync();

        Assert.Equal(
            ["public.t +(x, 1, 2)", "public.t (x, 1, 2)>((null), 1, 2)", "public.t ((null), 1, 2)>((null), 5, 2)", "public.t -((null), 5, 2)"],
            RowText.Of(changes));
        Assert.All(changes, change => Assert.Equal([2, 1], change.Relation.KeyOrdinals));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Unchanged_toast_is_its_own_state_and_is_filled_from_a_full_old_row(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, """
            CREATE TABLE plain (id int PRIMARY KEY, big text, n int);
            CREATE TABLE whole (id int PRIMARY KEY, big text, n int);
            CREATE TABLE keyed (id text PRIMARY KEY, n int);
            ALTER TABLE plain ALTER big SET STORAGE EXTERNAL;
            ALTER TABLE whole ALTER big SET STORAGE EXTERNAL;
            ALTER TABLE keyed ALTER id SET STORAGE EXTERNAL;
            ALTER TABLE whole REPLICA IDENTITY FULL;
            """);
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("""
            INSERT INTO plain VALUES (1, repeat('x', 10000), 0); UPDATE plain SET n = 1;
            INSERT INTO whole VALUES (1, repeat('y', 10000), 0); UPDATE whole SET n = 1;
            INSERT INTO keyed VALUES (repeat('k', 2400), 0); UPDATE keyed SET n = 1;
            """);
        var changes = await reader.ReadChangesAsync();

        Assert.Equal(new string('x', 10000), changes[0].NewRow![1].Text);
        Assert.Equal(ColumnValue.Unchanged, changes[1].NewRow![1]);
        Assert.Equal(new string('y', 10000), changes[3].NewRow![1].Text);
        Assert.Equal(new string('k', 2400), changes[5].NewRow![0].Text);
        Assert.Null(changes[5].OldRow);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Partitions_name_their_leaf_and_their_topmost_root(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, """
            CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
            CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
            CREATE TABLE part_low_1 PARTITION OF part_low FOR VALUES FROM (0) TO (50);
            CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (100) TO (200);
            """);
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("INSERT INTO part VALUES (1), (150)");
        await database.ExecuteAsync("UPDATE part SET id = 151 WHERE id = 1");
        var seen = await reader.ReadToMarkerAsync();

        Assert.Equal(["public.part_low_1 +(1)", "public.part_high +(150)"], RowText.Of(seen[0].Changes));
        Assert.Equal(["public.part_low_1 -key(1)", "public.part_high +(151)"], RowText.Of(seen[1].Changes));
        Assert.All(seen.SelectMany(transaction => transaction.Changes), change => Assert.Equal("public.part", change.Relation.Root.ToString()));
        Assert.All(seen.SelectMany(transaction => transaction.Changes), change => Assert.Equal([0], change.Relation.KeyOrdinals));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Truncate_of_all_leaves_is_one_of_the_root_and_of_fewer_stays_in_them(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, """
            CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
            CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
            CREATE TABLE part_low_1 PARTITION OF part_low FOR VALUES FROM (0) TO (50);
            CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (100) TO (200);
            CREATE TABLE plain (id int PRIMARY KEY);
            """);
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("TRUNCATE part");
        await database.ExecuteAsync("TRUNCATE part_high, plain, part_low");
        await database.ExecuteAsync("TRUNCATE part_high");
        await database.ExecuteAsync("TRUNCATE part_low");
        var seen = await reader.ReadToMarkerAsync();

        Assert.Equal(["public.part truncate"], RowText.Of(seen[0].Changes));
        Assert.Equal(["public.part truncate", "public.plain truncate"], RowText.Of(seen[1].Changes).Order(StringComparer.Ordinal));
        Assert.Equal(["public.part_high truncate"], RowText.Of(seen[2].Changes));
        Assert.Equal(["public.part_low_1 truncate"], RowText.Of(seen[3].Changes));
        var ofPart = seen.SelectMany(transaction => transaction.Changes).Select(change => change.Relation).Where(relation => relation.Name.Name != "plain").ToList();
        Assert.All(ofPart, relation => Assert.Equal(("public.part", "id, v"), (relation.Root.ToString(), string.Join(", ", relation.Columns.Select(column => column.Name)))));
        Assert.All(ofPart, relation => Assert.Equal([0], relation.KeyOrdinals));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Column_added_or_dropped_between_changes_shows_from_there_on(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE t (id int PRIMARY KEY, a int)");
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("INSERT INTO t VALUES (1, 1)");
        await database.ExecuteAsync("ALTER TABLE t ADD b varchar(5) DEFAULT 'd', ADD c int GENERATED ALWAYS AS (id * 2) STORED");
        await database.ExecuteAsync("UPDATE t SET a = 2");
        await database.ExecuteAsync("ALTER TABLE t DROP a");
        await database.ExecuteAsync("INSERT INTO t VALUES (2, 'x')");
        var changes = await reader.ReadChangesAsync();

        Assert.Equal(["public.t +(1, 1)", "public.t >(1, 2, d)", "public.t +(2, x)"], RowText.Of(changes));
        Assert.Equal(new RelationColumn("b", "character varying(5)", 0), changes[1].Relation.Columns[2]);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Table_that_was_dropped_before_it_is_read_keeps_its_changes(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, """
            CREATE TYPE mood AS ENUM ('fine');
            CREATE TABLE t (id int PRIMARY KEY, m mood);
            CREATE TABLE whole (id int PRIMARY KEY, a int);
            ALTER TABLE whole REPLICA IDENTITY FULL
            """);
        await database.ExecuteAsync("INSERT INTO t VALUES (1, 'fine'); INSERT INTO whole VALUES (1, 1)");
        await database.ExecuteAsync("DROP TABLE t, whole; DROP TYPE mood");

        await using var reader = await database.OpenAsync();
        var changes = await reader.ReadChangesAsync();

        Assert.Equal(["public.t +(1, fine)", "public.whole +(1, 1)"], RowText.Of(changes));
        Assert.Equal([0], changes[0].Relation.KeyOrdinals);
        Assert.Equal([0, 1], changes[1].Relation.KeyOrdinals);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Identity_index_without_the_primary_key_stops_the_stream_at_a_delete(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, """
            CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL);
            CREATE UNIQUE INDEX t_code ON t (code);
            ALTER TABLE t REPLICA IDENTITY USING INDEX t_code
            """);
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("INSERT INTO t VALUES (1, 7)");
        await database.ExecuteAsync("DELETE FROM t");
        Assert.Equal([0], (await reader.NextAsync("the insert")).Changes[0].Relation.KeyOrdinals);
        var fault = await reader.FaultAsync("the delete");

        Assert.Equal(ReplicationErrorKind.Misconfigured, fault.Kind);
        Assert.Contains("ALTER TABLE \"public\".\"t\" REPLICA IDENTITY DEFAULT", fault.Message, StringComparison.Ordinal);
    }
}
