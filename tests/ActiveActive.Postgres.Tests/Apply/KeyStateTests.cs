using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using Npgsql;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class KeyStateTests(ApplyServers servers)
{
    private const string Item = "CREATE TABLE item (id int PRIMARY KEY, name text)";

    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task A_row_shows_who_wrote_it(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(Item + "; INSERT INTO item VALUES (1, 'local')");
        await using var us = await database.OpenLaneAsync();
        await using var asia = await database.OpenLaneAsync(Asia);
        var table = await us.TableAsync("item");
        await us.ApplyAsync(1, Insert(table, "2", "us"));
        await asia.ApplyAsync(2, Insert(await asia.TableAsync("item"), "3", "asia"));

        // An origin that another tool made, after this session learnt the origins: to the cluster, the row was written here.
        await database.RunAsSuperuserAsync(
            """
            SELECT pg_replication_origin_create('other_tool'); SELECT pg_replication_origin_session_setup('other_tool');
            BEGIN; SELECT pg_replication_origin_xact_setup('0/1', '2021-01-01Z'); INSERT INTO item VALUES (4, 'tool'); COMMIT;
            SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_drop('other_tool');
            """);
        await us.Session.BeginAsync(default);
        await us.ExecuteAsync(Insert(table, "5", "own"));
        var states = await us.Session.ReadKeysAsync([.. Enumerable.Range(1, 5).Select(i => At(table, $"{i}"))], default);
        await us.Session.RollbackAsync(default);

        Assert.Equal([Eu, Us, Asia, Eu, Eu], states.Select(s => s.Row!.Origin));
        Assert.Equal([false, false, false, false, true], states.Select(s => s.Row!.IsOwnWrite));
        Assert.Equal(Stamp(2), states[2].Row!.Stamp);
        Assert.Equal(await database.ReadAsync("SELECT xmin FROM item WHERE id = 1"), $"{states[0].Row!.Xid}");
        Assert.Equal(await database.ReadAsync("SELECT to_char(pg_xact_commit_timestamp(xmin), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM item WHERE id = 1"), $"{states[0].Row!.Stamp}");
        Assert.False(states[4].Row!.Stamp.IsKnown);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_row_that_was_waited_for_shows_its_new_values_and_the_new_writers_stamp(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(Item + "; INSERT INTO item VALUES (1, 'first'), (2, 'other')");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await using var writer = await database.ConnectAsync();
        await using var transaction = await writer.BeginTransactionAsync();
        await using (var update = new NpgsqlCommand("UPDATE item SET name = 'second' WHERE id = 1", writer)) await update.ExecuteNonQueryAsync();

        var waiting = lane.ReadAsync(At(table, "2"), At(table, "1"));
        await AwaitLockWaitAsync(database);
        await transaction.CommitAsync();
        var states = await waiting;

        Assert.Equal(Values("1", "second"), states[1].Row!.Values);
        Assert.Equal($"{states[1].Row!.Xid}", await database.ReadAsync("SELECT xmin FROM item WHERE id = 1"));
        Assert.True(states[1].Row!.Stamp > states[0].Row!.Stamp, "the stamp is still the old version's");
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task An_override_counts_only_while_the_row_is_the_one_it_was_made_for(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(Item);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var truth = Version(Asia, 99, 5);

        await lane.Session.BeginAsync(default);
        await lane.ExecuteAsync(Insert(table, "1", "a"), new SetOverride(table, Key(table, "1"), truth));
        Assert.Equal(truth, (await lane.Session.ReadKeysAsync([At(table, "1")], default))[0].Override);
        await lane.Session.CommitAsync(new(1), Stamp(1), default);
        Assert.Equal(truth, (await lane.ReadAsync(At(table, "1")))[0].Override);

        await lane.ApplyAsync(2, new UpdateRow(table, Key(table, "1"), Values("~", "b")));
        Assert.Null((await lane.ReadAsync(At(table, "1")))[0].Override);

        await lane.ApplyAsync(3, new UpdateRow(table, Key(table, "1"), Values("~", "c")), new SetOverride(table, Key(table, "1"), truth));
        Assert.Equal(truth, (await lane.ReadAsync(At(table, "1")))[0].Override);
        await lane.ApplyAsync(4, new SetOverride(table, Key(table, "1"), null));
        Assert.Null((await lane.ReadAsync(At(table, "1")))[0].Override);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_later_write_of_the_same_transaction_drops_the_override_it_had_made(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(Item);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var key = Key(table, "1");

        await lane.Session.BeginAsync(default);
        await lane.ExecuteAsync(Insert(table, "1", "a"), new SetOverride(table, key, Version(Asia, 99, 5)));
        await lane.ExecuteAsync(new DeleteRow(table, key));
        await lane.ExecuteAsync(Insert(table, "1", "b"));
        await lane.Session.CommitAsync(new(1), Stamp(1), default);

        Assert.Null((await lane.ReadAsync(At(table, "1")))[0].Override);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Siblings_are_read_back_for_the_row_or_the_missing_row_they_were_folded_to(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(Item);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var (one, two) = (Key(table, "1"), Key(table, "2"));
        Sibling[] siblings = [new(Version(Us, 1, 2), Values("1", "nasty \"'\\ \u0001 €")), new(Version(Asia, 2, 3), null), new(Version(Eu, 3, 4), Values("1", null))];

        await lane.ApplyAsync(1, Insert(table, "1", "a"), new SetSiblings(table, one, siblings), new SetSiblings(table, two, siblings));
        var states = await lane.ReadAsync(At(table, "1"), At(table, "2"));
        foreach (var state in states)
        {
            Assert.Equal(siblings.Select(s => s.Version), state.Siblings.Select(s => s.Version));
            Assert.Equal(siblings[0].Values, state.Siblings[0].Values);
            Assert.Null(state.Siblings[1].Values);
            Assert.Equal(siblings[2].Values, state.Siblings[2].Values);
        }

        // The row goes and the missing one comes: neither state is the folded one any more.
        await database.RunAsync("DELETE FROM item; INSERT INTO item VALUES (2, 'local')");
        Assert.All(await lane.ReadAsync(At(table, "1"), At(table, "2")), s => Assert.Empty(s.Siblings));
        await lane.ApplyAsync(2, new SetSiblings(table, one, []), new SetSiblings(table, two, []));
        Assert.Equal("0", await database.ReadAsync("SELECT count(*) FROM active_active.sibling"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task The_newer_of_the_keys_and_the_tables_tombstone_is_read_and_none_is_replaced_by_an_older(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(Item);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var one = Key(table, "1");

        await lane.ApplyAsync(1, new SetTombstone(table, one, Version(Us, 10, 10)));
        // One origin's writes are ordered by its log, others by stamp and then by name.
        await ExpectAsync(Version(Us, 9, 11), Version(Us, 9, 11));
        await ExpectAsync(Version(Us, 20, 8), Version(Us, 9, 11));
        await ExpectAsync(Version(Asia, 9, 99), Version(Us, 9, 11));
        await ExpectAsync(Version(Asia, 12, 1), Version(Asia, 12, 1));
        await ExpectAsync(Version(Us, 12, 1), Version(Us, 12, 1));

        await database.Node.SaveTombstonesAsync([new(table.Name, "", Version(Eu, 11, 1))], default);
        Assert.Equal([Version(Us, 12, 1), Version(Eu, 11, 1)], (await lane.ReadAsync(At(table, "1"), At(table, "2"))).Select(s => s.Tombstone!.Value));
        await database.Node.SaveTombstonesAsync([new(table.Name, "", Version(Eu, 30, 3)), new(table.Name, "", Version(Eu, 29, 2)), new(table.Name, one.ToText(), Version(Eu, 2, 2))], default);
        Assert.Equal([Version(Eu, 30, 3), Version(Eu, 30, 3)], (await lane.ReadAsync(At(table, "1"), At(table, "2"))).Select(s => s.Tombstone!.Value));
        Assert.Equal("12", await database.ReadAsync($"SELECT stamp - {Stamp(0).Microseconds} FROM active_active.tombstone WHERE key <> ''"));

        async Task ExpectAsync(RowVersion set, RowVersion expected)
        {
            await lane.ApplyAsync(1, new SetTombstone(table, one, set));
            Assert.Equal(expected, (await lane.ReadAsync(At(table, "1")))[0].Tombstone);
        }
    }

    // The server tells nobody that a lock is waited for.
    private static async Task AwaitLockWaitAsync(ApplyDatabase database)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (await database.ReadAsync("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0")
        {
            Assert.False(deadline.IsCancellationRequested, "nobody waits for a lock after 20 s");
        }
    }
}
