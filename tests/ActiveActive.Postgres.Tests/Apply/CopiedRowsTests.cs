using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

/// <summary>Parts with many inserts, which go by COPY.</summary>
[Collection(ApplyServers.Collection)]
public sealed class CopiedRowsTests(ApplyServers servers)
{
    private const int Many = 1500;

    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task Rows_of_any_texts_arrive_as_they_are(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE DOMAIN word AS text; CREATE TYPE pair AS (a text, b text);
            CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, word word, words text[], pair pair, area box, code bpchar(3), raw bytea, twice text GENERATED ALWAYS AS (body || body) STORED, left_out text DEFAULT 'default')
            """);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        string[] texts = ["", "NULL", "\\N", "\\.", "null", "\"", "\\", "\\\"\\", "{a,\"b\"}", " around ", "a,b;c", "'", "\t\n\r", "\n", "ü € 😀", "\u007f\u0001\b\v\f", "$1", new('\\', 40_000), new('\n', 9_000), new('é', 9_000)];
        string?[] Row(int i) => [$"{i}", texts[i % texts.Length], i % 3 == 0 ? null : texts[(i + 1) % texts.Length], "{\"\\\\,\"}", "(\"\\\\\",)", "(3,4),(1,2)", "abc", "\\x5c220a", "~"];
        await WriteAsync(lane, [.. Enumerable.Range(1, Many).Select(i => new InsertRow(table, i % 2 == 0 ? Values(Row(i)) : [.. Values(Row(i)).Select(v => v.HasText ? Bytes(v.Text!) : v)]))]);
        Assert.Equal($"{Many}", await database.ReadAsync("SELECT count(*) FROM item WHERE twice = body || body AND left_out = 'default' AND words = ARRAY['\\,'] AND (pair).a = '\\' AND raw = '\\x5c220a'"));
        var states = await lane.ReadAsync([.. Enumerable.Range(1, Many).Select(i => At(table, $"{i}"))]);
        for (var i = 1; i <= Many; i++) Assert.Equal((Row(i)[1], Row(i)[2]), (states[i - 1].Row!.Values[1].Text, states[i - 1].Row!.Values[2].Text));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Writes_of_a_copied_row_follow_it(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int, body text, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF item FOR VALUES FROM (0) TO (1000); CREATE TABLE high PARTITION OF item DEFAULT; INSERT INTO item VALUES (9999, 'old')");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        List<PlannedWrite> writes = [new UpdateRow(table, Key(table, "9999"), Values("~", "updated")), .. Enumerable.Range(1, Many).Select(i => new InsertRow(table, Values($"{i}", "in")))];
        writes.Add(new UpdateRow(table, Key(table, "1"), Values("~", "again")));
        writes.Add(new DeleteRow(table, Key(table, "2")));
        await WriteAsync(lane, writes);
        Assert.Equal("1500 998 again updated", await database.ReadAsync("SELECT count(*) || ' ' || (SELECT count(*) FROM low) || ' ' || string_agg(body, ' ' ORDER BY id) FILTER (WHERE body <> 'in') FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Row_that_a_new_trigger_would_keep_out_is_not_overlooked(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, body text); CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 7 THEN RETURN NULL; END IF; RETURN NEW; END'");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var rows = Enumerable.Range(1, Many).Select(i => new InsertRow(table, Values($"{i}", "in"))).ToList();
        await database.RunAsync("CREATE TRIGGER keep_out BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION keep_out(); ALTER TABLE item ENABLE ALWAYS TRIGGER keep_out");
        Assert.False(await TryAsync(lane, rows));
        await database.RunAsync("ALTER TABLE item DISABLE TRIGGER keep_out");
        Assert.True(await TryAsync(lane, rows));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Row_that_stands_already_refuses_all(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync($"CREATE TABLE item (id int PRIMARY KEY, body text); INSERT INTO item VALUES ({Many}, 'here')");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        Assert.False(await TryAsync(lane, [.. Enumerable.Range(1, Many).Select(i => new InsertRow(table, Values($"{i}", "in")))]));
        Assert.True(await TryAsync(lane, [.. Enumerable.Range(1, Many - 1).Select(i => new InsertRow(table, Values($"{i}", "in")))]));
        Assert.Equal("1", await database.ReadAsync("SELECT count(*) FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Wait_for_a_lock_ends_when_the_node_stops(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, body text)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await using var local = await database.ConnectAsync();
        await using var transaction = await local.BeginTransactionAsync();
        await using (var insert = new Npgsql.NpgsqlCommand("INSERT INTO item VALUES (700, 'local')", local)) await insert.ExecuteNonQueryAsync();
        using var stop = new CancellationTokenSource();
        var writing = TryAsync(lane, [.. Enumerable.Range(1, Many).Select(i => new InsertRow(table, Values($"{i}", "in")))], stop.Token);
        while (await database.ReadAsync("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY %' AND wait_event_type = 'Lock' AND datname = current_database()") != "1") Assert.False(writing.IsCompleted);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
        await transaction.CommitAsync();
        Assert.Equal("1", await database.ReadAsync("SELECT count(*) FROM item"));
        Assert.True(await TryAsync(lane, [.. Enumerable.Range(1001, Many).Select(i => new InsertRow(table, Values($"{i}", "in")))]));
    }

    private static async Task WriteAsync(ApplyLane lane, List<PlannedWrite> writes)
    {
        await lane.Session.BeginAsync(default);
        Assert.True(await SeenAsync(lane, writes, default));
        await lane.Session.CommitAsync(new(5000), Stamp(1), default);
    }

    private static async Task<bool> TryAsync(ApplyLane lane, IReadOnlyList<PlannedWrite> writes, CancellationToken cancellationToken = default)
    {
        await lane.Session.BeginAsync(default);
        try
        {
            return await SeenAsync(lane, writes, cancellationToken);
        }
        finally
        {
            await lane.Session.RollbackAsync(default);
        }
    }

    private static async Task<bool> SeenAsync(ApplyLane lane, IEnumerable<PlannedWrite> writes, CancellationToken cancellationToken)
    {
        var plan = new ApplyPlan();
        plan.Writes.AddRange(writes);
        return await lane.Session.TryWriteSeenAsync(plan, new SeenRows(Us, uint.MaxValue / 2, []), cancellationToken);
    }
}
