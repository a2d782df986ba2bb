using ActiveActive.Apply;
using NpgsqlTypes;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class ApplySessionTests(ApplyServers servers)
{
    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task An_applied_row_carries_its_origins_stamp_and_the_progress_moves_with_it(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, name text)");
        await using var lane = await database.OpenLaneAsync();
        Assert.Equal(default, lane.Session.AppliedPosition);
        var table = await lane.TableAsync("item");

        var written = await lane.ApplyAsync(123456, Insert(table, "1", "one"));

        Assert.Equal(written.Position, lane.Session.AppliedPosition);
        Assert.Equal(written.Position, await lane.Session.FlushAsync(default));
        Assert.Equal("2020-01-01 00:00:00.123456+00", await database.ReadAsync("SELECT pg_xact_commit_timestamp(xmin) FROM item"));
        var state = Assert.Single(await lane.ReadAsync(At(table, "1")));
        Assert.Equal((written.Stamp, Us, false), (state.Row!.Stamp, state.Row.Origin, state.Row.IsOwnWrite));
        Assert.Equal(Values("1", "one"), state.Row.Values);
        Assert.True(lane.Session.ServerTime > written.Stamp);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_rollback_leaves_neither_rows_nor_progress_and_the_session_goes_on(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, name text)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");

        await lane.Session.BeginAsync(default);
        await lane.ExecuteAsync(Insert(table, "1", "one"), new SetTombstone(table, Key(table, "2"), Version(Us, 1, 1)));
        await lane.Session.RollbackAsync(default);
        await lane.Session.BeginAsync(default);
        var refused = await Assert.ThrowsAsync<ReplicationException>(() => lane.ExecuteAsync(Insert(table, "secret-word", "x")).AsTask());
        await lane.Session.RollbackAsync(default);

        Assert.Equal(ReplicationErrorKind.ApplyRefused, refused.Kind);
        Assert.Contains("public.item", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret-word", refused.ToString(), StringComparison.Ordinal);
        Assert.Equal("0", await database.ReadAsync("SELECT count(*) FROM item"));
        Assert.Equal("0", await database.ReadAsync("SELECT count(*) FROM active_active.tombstone"));
        Assert.Equal(default, await lane.Session.FlushAsync(default));
        await lane.ApplyAsync(5, Insert(table, "1", "one"));
        Assert.Equal("1", await database.ReadAsync("SELECT count(*) FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_transaction_that_gives_way_does_not_wait_long_for_a_lock(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'one')");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await using var local = await database.ConnectAsync();
        await using var transaction = await local.BeginTransactionAsync();
        await using (var update = new Npgsql.NpgsqlCommand("UPDATE item SET name = 'local'", local)) await update.ExecuteNonQueryAsync();

        var horizon = (await database.Node.WriteMarkerAsync(CommitTimestamp.Unknown, default)).Horizon;
        foreach (var isLooking in new[] { true, false })
        {
            await lane.Session.BeginAsync(default);
            lane.Session.GiveWay();
            var plan = new ApplyPlan();
            plan.Writes.Add(new UpdateRow(table, Key(table, "1"), Values("1", "applied")));
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            var gaveWay = await Assert.ThrowsAsync<ReplicationException>(async () =>
            {
                if (isLooking) await lane.Session.ReadKeysAsync([At(table, "1")], patience.Token);
                else await lane.Session.TryWriteSeenAsync(plan, new(Us, horizon, []), patience.Token);
            });
            await lane.Session.RollbackAsync(default);
            Assert.Equal(ReplicationErrorKind.Transient, gaveWay.Kind);
        }

        await transaction.CommitAsync();
        await lane.ApplyAsync(7, new UpdateRow(table, Key(table, "1"), Values("1", "applied")));
        Assert.Equal("applied", await database.ReadAsync("SELECT name FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Rows_of_a_rewritten_table_are_not_taken_for_seen_ones(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, n int); INSERT INTO item VALUES (1, 1)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var plan = new ApplyPlan();
        plan.Writes.Add(new UpdateRow(table, Key(table, "1"), Values("1", "2")));
        foreach (var isRewritten in new[] { false, true })
        {
            if (isRewritten) await database.RunAsync("ALTER TABLE item ALTER COLUMN n TYPE int USING n + 0");
            var horizon = (await database.Node.WriteMarkerAsync(CommitTimestamp.Unknown, default)).Horizon;
            await lane.Session.BeginAsync(default);
            Assert.Equal(!isRewritten, await lane.Session.TryWriteSeenAsync(plan, new(Us, horizon, []), default));
            await lane.Session.RollbackAsync(default);
        }
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Rows_are_refused_as_a_set_and_one_by_one_the_refused_row_alone(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("""
            CREATE TABLE seat (id int PRIMARY KEY, place text CHECK (place <> 'taken'));
            INSERT INTO seat SELECT g, chr(96 + g) FROM generate_series(1, 5) g
            """);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("seat");
        (string Id, string Place)[] moves = [("1", "t"), ("2", "b"), ("3", "x"), ("4", "taken"), ("5", "z")];
        var plan = new ApplyPlan();
        foreach (var (id, place) in moves) plan.Writes.Add(new UpdateRow(table, Key(table, id), Values(id, place)));

        await lane.Session.BeginAsync(default);
        Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<RowSetRefusedException>(() => lane.Session.ExecuteAsync(plan, default).AsTask())).Kind);
        await lane.Session.RollbackAsync(default);
        await lane.Session.BeginAsync(default);
        plan.IsInOrder = true;
        var refused = await Assert.ThrowsAsync<ReplicationException>(() => lane.Session.ExecuteAsync(plan, default).AsTask());
        Assert.Equal(ReplicationErrorKind.ApplyRefused, refused.Kind);
        await lane.Session.RollbackAsync(default);
        plan.Writes.RemoveAt(3);
        await lane.Session.BeginAsync(default);
        await lane.Session.ExecuteAsync(plan, default);
        await lane.Session.CommitAsync(new(9), Stamp(1), default);
        Assert.Equal("t,b,x,d,z", await database.ReadAsync("SELECT string_agg(place, ',' ORDER BY id) FROM seat"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_second_session_of_an_origin_is_refused_until_the_first_is_closed(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        var first = await database.OpenLaneAsync();

        var refused = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenLaneAsync());
        Assert.Equal(ReplicationErrorKind.InUse, refused.Kind);
        Assert.Contains("_us", refused.Message, StringComparison.Ordinal);
        Assert.Contains("PID", refused.Message, StringComparison.OrdinalIgnoreCase);

        await using var other = await database.OpenLaneAsync(Asia);
        await first.DisposeAsync();
        await using var again = await database.OpenLaneAsync();
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task An_empty_transaction_moves_the_progress_and_a_new_session_finds_it(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        var before = await database.ReadAsync("SELECT pg_current_wal_insert_lsn()");
        await using (var lane = await database.OpenLaneAsync())
        {
            await lane.Session.BeginAsync(default);
            await lane.Session.CommitAsync(new NpgsqlLogSequenceNumber(77), Stamp(1), default);
            Assert.Equal(new NpgsqlLogSequenceNumber(77), await lane.Session.FlushAsync(default));
        }

        await using var next = await database.OpenLaneAsync();
        Assert.Equal(new NpgsqlLogSequenceNumber(77), next.Session.AppliedPosition);
        Assert.NotEqual(before, await database.ReadAsync("SELECT pg_current_wal_insert_lsn()"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_lost_connection_is_transient_and_says_to_open_a_new_session(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await lane.Session.BeginAsync(default);
        await lane.ExecuteAsync(Insert(table, "1"));

        await database.RunAsSuperuserAsync("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'active_active apply'");

        var lost = await Assert.ThrowsAsync<ReplicationException>(() => lane.Session.CommitAsync(new(5), Stamp(1), default).AsTask());
        Assert.Equal(ReplicationErrorKind.Transient, lost.Kind);

        // Rolling back says nothing more, so that it hides no first fault; the next use does. Whether the server has heard of the end, no answer tells, however often it is asked for.
        Assert.False(await lane.Session.RollbackAsync(default));
        Assert.False(await lane.Session.RollbackAsync(default));
        var next = await Assert.ThrowsAsync<ReplicationException>(() => lane.Session.BeginAsync(default).AsTask());
        Assert.Equal(ReplicationErrorKind.Transient, next.Kind);
        Assert.Contains("new session", next.Message, StringComparison.Ordinal);
        Assert.Equal("0", await database.ReadAsync("SELECT count(*) FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_commit_without_a_stamp_takes_the_servers_clock_each_time(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, note text)");
        await using var lane = await database.OpenLaneAsync();
        var item = await lane.TableAsync("item");
        foreach (var id in new[] { "1", "2" })
        {
            await lane.Session.BeginAsync(default);
            await lane.ExecuteAsync(Insert(item, id, "x"));
            await lane.Session.CommitAsync(default, CommitTimestamp.Unknown, default);
        }

        var states = await lane.ReadAsync(At(item, "1"), At(item, "2"));
        Assert.True(states[1].Row!.Stamp > states[0].Row!.Stamp, $"{states[1].Row!.Stamp} is not after {states[0].Row!.Stamp}");
        Assert.Equal(default, lane.Session.AppliedPosition);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_taken_primary_key_is_transient_and_another_unique_key_is_refused_by_name(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE item (id int PRIMARY KEY, email text UNIQUE);
            CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
            CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
            INSERT INTO item VALUES (1, 'a@example.com'); INSERT INTO parted VALUES (1, 'eu');
            """);
        await using var lane = await database.OpenLaneAsync();
        var item = await lane.TableAsync("item");
        var parted = await lane.TableAsync("parted");

        Assert.Equal(ReplicationErrorKind.Transient, (await RefusalAsync(lane, Insert(item, "1", "b@example.com"))).Kind);
        Assert.Equal(ReplicationErrorKind.Transient, (await RefusalAsync(lane, Insert(parted, "1", "eu"))).Kind);
        var unique = await RefusalAsync(lane, Insert(item, "2", "a@example.com"));
        Assert.Equal(ReplicationErrorKind.ApplyRefused, unique.Kind);
        Assert.Contains("item_email_key", unique.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("a@example.com", unique.ToString(), StringComparison.Ordinal);
        Assert.Equal(ReplicationErrorKind.Transient, (await RefusalAsync(lane, new DeleteRow(item, Key(item, "9")))).Kind);
        Assert.Equal(ReplicationErrorKind.Transient, (await RefusalAsync(lane, new UpdateRow(item, Key(item, "9"), Values("~", "x")))).Kind);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Changed_column_types_are_followed_once_tables_are_forgotten(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, amount int)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        for (var i = 1; i <= 5; i++)
        {
            await lane.ApplyAsync(i, Insert(table, $"{i}", "1"));
            await lane.ReadAsync(At(table, "1"));
        }

        await database.RunAsync("ALTER TABLE item ALTER amount TYPE text; ALTER TABLE item ADD note text DEFAULT 'n'");
        lane.Session.ForgetTables();
        table = await lane.TableAsync("item");
        await lane.ApplyAsync(9, Insert(table, "6", "many", "~"));
        // Through SQL: a session would look for the rows' versions in the log, which this database has none of.
        Assert.Equal("many n", await database.ReadAsync("SELECT amount || ' ' || note FROM item WHERE id = 6"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Triggers_and_foreign_keys_do_not_fire(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE parent (id int PRIMARY KEY);
            CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent);
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION refuse();
            """);
        await using var lane = await database.OpenLaneAsync();
        await lane.ApplyAsync(1, Insert(await lane.TableAsync("child"), "1", "99"));
        Assert.Equal("99", await database.ReadAsync("SELECT parent FROM child"));
    }

    private static async Task<ReplicationException> RefusalAsync(ApplyLane lane, PlannedWrite write)
    {
        await lane.Session.BeginAsync(default);
        var refused = await Assert.ThrowsAnyAsync<ReplicationException>(() => lane.ExecuteAsync(write).AsTask());
        await lane.Session.RollbackAsync(default);
        return refused;
    }
}
