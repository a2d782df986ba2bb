using ActiveActive.Apply;
using Npgsql;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class TruncateTests(ApplyServers servers)
{
    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task Later_rows_survive_and_older_and_own_ones_go(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int, note text, PRIMARY KEY (note, id)); INSERT INTO item VALUES (1, 'local, later')");
        await using var us = await database.OpenLaneAsync();
        await using var asia = await database.OpenLaneAsync(Asia);
        var table = await us.TableAsync("item");
        var far = await asia.TableAsync("item");
        await us.ApplyAsync(10, Insert(table, "2", "us, older"));
        await asia.ApplyAsync(50, Insert(far, "3", "asia, later"));
        await asia.ApplyAsync(20, Insert(far, "4", "asia, same stamp, lesser name"));
        await asia.ApplyAsync(5, Insert(far, "5", "really later"), new SetOverride(far, Key(far, "really later", "5"), Version(Eu, 21, 1)));
        await asia.ApplyAsync(6, Insert(far, "6", "not really later"), new SetOverride(far, Key(far, "not really later", "6"), Version(Asia, 19, 1)));
        // The truncate's origin had seen its own row, whatever its clock said.
        await us.ApplyAsync(30, Insert(table, "7", "us, stamped later, logged before"));

        var truncate = Version(Us, 20, 5000);
        await us.Session.BeginAsync(default);
        await us.ExecuteAsync(Insert(table, "8", "own, before"), new TruncateTable(table, truncate), Insert(table, "9", "own, after"));
        await us.Session.CommitAsync(truncate.Position, truncate.Stamp, default);

        Assert.Equal("1,3,5,9", await database.ReadAsync("SELECT string_agg(id::text, ',' ORDER BY id) FROM item"));
        Assert.Equal(truncate, (await us.ReadAsync(At(table, "x", "1")))[0].Tombstone);
        Assert.Equal(truncate.Position, us.Session.AppliedPosition);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_table_without_later_rows_is_truncated_for_real_and_a_referenced_or_used_one_is_emptied_by_delete(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE free (id int PRIMARY KEY); CREATE TABLE used (id int PRIMARY KEY); CREATE TABLE referenced (id int PRIMARY KEY);
            CREATE TABLE child (id int PRIMARY KEY REFERENCES referenced);
            CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
            CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
            """);
        await using var lane = await database.OpenLaneAsync();
        await using var reader = await database.ConnectAsync();
        await using var transaction = await reader.BeginTransactionAsync();
        await using (var read = new NpgsqlCommand("SELECT count(*) FROM used", reader)) await read.ExecuteScalarAsync();

        foreach (var (name, storage, isReal) in new[] { ("free", "free", true), ("parted", "parted_1", true), ("used", "used", false), ("referenced", "referenced", false) })
        {
            var table = await lane.TableAsync(name);
            await lane.ApplyAsync(1, Insert(table, "1"), Insert(table, "2"));
            var before = await database.ReadAsync($"SELECT pg_relation_filenode('{storage}')");
            await lane.ApplyAsync(2, new TruncateTable(table, Version(Us, 2, 9000)));
            Assert.Equal("0", await database.ReadAsync($"SELECT count(*) FROM {name}"));
            Assert.Equal(isReal, before != await database.ReadAsync($"SELECT pg_relation_filenode('{storage}')"));
            Assert.Equal("1", await database.ReadAsync($"SELECT count(*) FROM active_active.tombstone WHERE table_name = 'public.{name}' AND key = ''"));
        }
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_row_that_a_local_transaction_updates_meanwhile_survives(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, note text)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await lane.ApplyAsync(1, Insert(table, "1", "older"), Insert(table, "2", "older"));
        await using var writer = await database.ConnectAsync();
        await using var transaction = await writer.BeginTransactionAsync();
        await using (var update = new NpgsqlCommand("UPDATE item SET note = 'later' WHERE id = 1", writer)) await update.ExecuteNonQueryAsync();

        var truncating = lane.ApplyAsync(2, new TruncateTable(table, Version(Us, 2, 9000)));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (await database.ReadAsync("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0")
        {
            Assert.False(deadline.IsCancellationRequested, "the truncate does not wait for the row after 20 s");
        }

        await transaction.CommitAsync();
        await truncating;
        Assert.Equal("later", await database.ReadAsync("SELECT string_agg(note, ',') FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task In_a_delta_table_only_a_later_delete_of_the_key_or_table_keeps_a_row(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL); INSERT INTO account VALUES (1, 5), (2, 5)");
        await using var node = database.Open("balance");
        await using var lane = await database.OpenLaneAsync(node: node);
        var table = await lane.TableAsync("account");
        Assert.True(table.Settings.HasDeltaColumns);
        await node.SaveTombstonesAsync([new(table.Name, Key(table, "2").ToText(), Version(Eu, 50, 1))], default);

        await lane.ApplyAsync(20, new TruncateTable(table, Version(Us, 20, 9000)));
        Assert.Equal("2", await database.ReadAsync("SELECT string_agg(id::text, ',') FROM account"));

        await node.SaveTombstonesAsync([new(table.Name, "", Version(Eu, 60, 2))], default);
        await database.RunAsync("INSERT INTO account VALUES (3, 5)");
        await lane.ApplyAsync(30, new TruncateTable(table, Version(Us, 30, 9010)));
        Assert.Equal("2,3", await database.ReadAsync("SELECT string_agg(id::text, ',' ORDER BY id) FROM account"));
        Assert.Equal(Version(Eu, 60, 2), (await lane.ReadAsync(At(table, "9")))[0].Tombstone);
    }
}
