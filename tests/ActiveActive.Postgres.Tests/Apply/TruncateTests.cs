using ActiveActive.Apply;
using ActiveActive.Progress;
using Npgsql;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class TruncateTests(ApplyServers servers)
{
    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task Rows_that_its_writer_had_not_seen_stay_to_be_decided_about(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int, note text, PRIMARY KEY (note, id)); INSERT INTO item VALUES (1, 'local')");
        await using var us = await database.OpenLaneAsync();
        await using var asia = await database.OpenLaneAsync(Asia);
        var table = await us.TableAsync("item");
        var far = await asia.TableAsync("item");
        await us.ApplyAsync(10, Insert(table, "2", "us"));
        await asia.ApplyAsync(50, Insert(far, "3", "asia, unseen"));
        await asia.ApplyAsync(20, Insert(far, "4", "asia, seen"));
        await asia.ApplyAsync(5, Insert(far, "5", "really another's"), new SetOverride(far, Key(far, "really another's", "5"), Version(Eu, 21, 1)));
        await us.ApplyAsync(50, Insert(table, "6", "us, with the unseen one's stamp"));
        var local = (await us.ReadAsync(At(table, "local", "1")))[0].Row!;
        ShownVersion[] unseen = [new(local.Stamp, Eu), new(Stamp(50), Asia)];

        var truncate = Version(Us, 20, 5000);
        await us.Session.BeginAsync(default);
        Assert.Equal(["1", "3", "5"], (await us.UnseenAsync(table, unseen)).Select(k => k.Values[1]).Order(StringComparer.Ordinal));
        await us.ExecuteAsync(Insert(table, "8", "own, before"), new TruncateTable(table, truncate, unseen), Insert(table, "9", "own, after"));
        await us.Session.CommitAsync(truncate.Position, truncate.Stamp, default);

        Assert.Equal("1,3,5,9", await database.ReadAsync("SELECT string_agg(id::text, ',' ORDER BY id) FROM item"));
        Assert.Equal(truncate, (await us.ReadAsync(At(table, "x", "1")))[0].Tombstone);
        Assert.Equal(truncate.Position, us.Session.AppliedPosition);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Unseen_rows_come_some_at_a_time_and_of_a_partition_alone_only_its_own(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
            CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100000);
            CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100000) TO (200000);
            INSERT INTO parted SELECT generate_series(1, 11000);
            INSERT INTO parted VALUES (100001);
            """);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("parted");
        var states = await lane.ReadAsync(At(table, "1"), At(table, "100001"));
        ShownVersion[] unseen = [.. states.Select(s => new ShownVersion(s.Row!.Stamp, Eu))];

        await lane.Session.BeginAsync(default);
        var counts = new List<int>();
        await foreach (var some in lane.Session.ReadUnseenAsync(table, null, unseen, default))
        {
            counts.Add(some.Count);
            // What is done in between does not matter to it.
            await lane.ExecuteAsync([.. some.Select(k => new DeleteRow(table, k.Key))]);
        }

        Assert.Equal([5000, 5000, 1001], counts);
        await lane.Session.RollbackAsync(default);
        await lane.Session.BeginAsync(default);
        var leaf = new TableName("public", "parted_2");
        Assert.Equal(["100001"], (await lane.UnseenAsync(table, unseen, leaf)).Select(k => k.Values[0]));
        await lane.ExecuteAsync(new TruncateTable(table, Version(Us, 20, 5000), [], leaf));
        await lane.Session.CommitAsync(new(5000), Stamp(20), default);
        Assert.Equal("11000", await database.ReadAsync("SELECT count(*) FROM parted"));
        Assert.Equal("0", await database.ReadAsync("SELECT count(*) FROM active_active.tombstone"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_table_of_which_nothing_stays_is_truncated_for_real_and_a_referenced_or_used_one_is_emptied_by_delete(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE free (id int PRIMARY KEY); CREATE TABLE used (id int PRIMARY KEY); CREATE TABLE referenced (id int PRIMARY KEY);
            CREATE TABLE child (id int PRIMARY KEY REFERENCES referenced);
            CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
            CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
            CREATE TABLE leafy (id int PRIMARY KEY) PARTITION BY RANGE (id);
            CREATE TABLE leafy_1 PARTITION OF leafy FOR VALUES FROM (0) TO (10);
            CREATE TABLE child_of_leaf (id int PRIMARY KEY REFERENCES leafy_1);
            """);
        await database.RunAsync("CREATE TABLE heir (id int PRIMARY KEY) INHERITS (free); INSERT INTO heir VALUES (7)");
        await using var lane = await database.OpenLaneAsync();
        await using var reader = await database.ConnectAsync();
        await using var transaction = await reader.BeginTransactionAsync();
        await using (var read = new NpgsqlCommand("SELECT count(*) FROM used", reader)) await read.ExecuteScalarAsync();

        foreach (var (name, storage, isReal) in new[] { ("free", "free", true), ("parted", "parted_1", true), ("used", "used", false), ("referenced", "referenced", false), ("leafy", "leafy_1", false) })
        {
            var table = await lane.TableAsync(name);
            await lane.ApplyAsync(1, Insert(table, "1"), Insert(table, "2"));
            var before = await database.ReadAsync($"SELECT pg_relation_filenode('{storage}')");
            await lane.ApplyAsync(2, new TruncateTable(table, Version(Us, 2, 9000), []));
            Assert.Equal(name == "free" ? "1" : "0", await database.ReadAsync($"SELECT count(*) FROM {name}"));
            Assert.Equal(isReal, before != await database.ReadAsync($"SELECT pg_relation_filenode('{storage}')"));
            Assert.Equal("1", await database.ReadAsync($"SELECT count(*) FROM active_active.tombstone WHERE table_name = 'public.{name}' AND key = ''"));
        }
    }
}
