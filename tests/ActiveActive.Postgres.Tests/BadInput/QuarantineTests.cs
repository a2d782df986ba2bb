using ActiveActive.Postgres.Tests.Cluster;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>Every kind of refusal under the policy Quarantine, on real servers: the stream goes on, and after the fix all is applied by one call.</summary>
[Collection(nameof(ClusterServers))]
public sealed class QuarantineTests(ClusterServers servers)
{
    private const string Fitting =
        """
        CREATE TABLE other (id int PRIMARY KEY, v text);
        CREATE TABLE checked (id int PRIMARY KEY, v text);
        CREATE TABLE summed (id int PRIMARY KEY, n int NOT NULL);
        CREATE TABLE shorter (id int PRIMARY KEY, v text);
        CREATE TABLE wider (id int PRIMARY KEY, v text);
        CREATE TABLE guarded (id int PRIMARY KEY, v text);
        CREATE TABLE merged (id int PRIMARY KEY, v text);
        CREATE TABLE absent (id int PRIMARY KEY, v text);
        """;

    private const string Unfit =
        """
        CREATE TABLE other (id int PRIMARY KEY, v text);
        CREATE TABLE checked (id int PRIMARY KEY, v text CONSTRAINT no_x CHECK (v <> 'x'));
        CREATE TABLE summed (id int PRIMARY KEY, n int NOT NULL);
        CREATE TABLE shorter (id int PRIMARY KEY, v varchar(2));
        CREATE TABLE wider (id int PRIMARY KEY);
        CREATE TABLE guarded (id int PRIMARY KEY, v text);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not %', NEW.v; END $$;
        CREATE TRIGGER guard BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
        ALTER TABLE guarded ENABLE ALWAYS TRIGGER guard;
        CREATE TABLE merged (id int PRIMARY KEY, v text);
        """;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "15")]
    [Trait("Story", "25")]
    [Trait("Story", "26")]
    public async Task Everything_that_is_refused_is_put_aside_and_applied_after_the_fix(int version)
    {
        var resolver = new Moody();
        await using var pair = await NodePair.StartAsync(servers, Fitting, Unfit, node => node
            .Replicate("public.*", table => table.OnApplyError(ApplyErrorPolicy.Quarantine))
            .Replicate("public.summed", table => table.DeltaColumn("n"))
            .Replicate("public.merged", table => table.ResolveConflictsWith(resolver)), version);
        await pair.A.ExecuteAsync("INSERT INTO summed VALUES (1, 0)");
        await pair.UntilEqualAsync("summed", "(1,0)");
        await pair.B.Node.PausePeerAsync(pair.A.Node.Name);
        await pair.A.Node.PausePeerAsync(pair.B.Node.Name);
        await pair.UntilAsync("both have paused", () => Task.FromResult(new[] { pair.A, pair.B }.All(n => n.Node.Status.Peers[0].Receiving == PeerLinkState.Paused)));
        await pair.B.ExecuteAsync("UPDATE summed SET n = n + 2000000000");
        await pair.B.ExecuteAsync("INSERT INTO merged VALUES (1, 'b')");
        await pair.A.ExecuteAsync("BEGIN; INSERT INTO other VALUES (1, 'with it'); INSERT INTO checked VALUES (1, 'x'); COMMIT");
        await pair.A.ExecuteAsync("UPDATE summed SET n = n + 1000000000");
        await pair.A.ExecuteAsync("INSERT INTO shorter VALUES (1, 'long'), (2, 'ok')");
        await pair.A.ExecuteAsync("INSERT INTO wider VALUES (1, 'v')");
        await pair.A.ExecuteAsync("INSERT INTO guarded VALUES (1, 'v')");
        await pair.A.ExecuteAsync("INSERT INTO merged VALUES (1, 'a')");
        await pair.A.ExecuteAsync("INSERT INTO absent VALUES (1, 'v')");
        await pair.A.ExecuteAsync("UPDATE checked SET v = 'y'");
        await pair.A.ExecuteAsync("INSERT INTO other VALUES (2, 'after')");
        await pair.B.Node.ResumePeerAsync(pair.A.Node.Name);
        await pair.UntilAsync("b has put eight aside and gone on", async () => pair.B.Node.Status.Quarantined == 8 && await pair.B.DumpAsync("other") == "(2,after)");

        var entries = await pair.B.Node.Quarantine.ListAsync(Token);
        Assert.Equal(["23514", "AA4001", "22001", "AA4001", "P0001", "AA4001", "AA4001", "AA4002"], entries.Select(e => e.Code));
        Assert.Equal(["public.checked", "public.other"], entries[0].Tables.Select(t => t.ToString()));
        Assert.All(entries, e => Assert.DoesNotContain("'x'", e.Reason, StringComparison.Ordinal));
        Assert.All(entries.SkipLast(1), e => Assert.Equal(3, e.Attempts));
        var status = pair.B.Node.Status;
        Assert.Equal((PeerLinkState.Streaming, null), (status.Peers[0].Receiving, status.Peers[0].Message));
        var health = await pair.B.Host!.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Token);
        Assert.Equal(HealthStatus.Degraded, health.Status);
        Assert.Contains("8 transactions are in quarantine", health.Entries["active_active"].Description, StringComparison.Ordinal);

        // The other node is tried as well: what a can't add or merge, it puts aside, too.
        await pair.A.Node.ResumePeerAsync(pair.B.Node.Name);
        await pair.UntilAsync("a has put two aside", () => Task.FromResult(pair.A.Node.Status.Quarantined == 2));
        Assert.Equal(0, await pair.B.Node.Quarantine.RetryAllAsync(Token));
        resolver.IsWell = true;
        await pair.B.ExecuteAsync(
            """
            ALTER TABLE checked DROP CONSTRAINT no_x; ALTER TABLE shorter ALTER v TYPE text; ALTER TABLE wider ADD v text; DROP TRIGGER guard ON guarded;
            UPDATE summed SET n = n - 2000000000; CREATE TABLE absent (id int PRIMARY KEY, v text);
            """);
        Assert.Equal(8, await pair.B.Node.Quarantine.RetryAllAsync(Token));
        await pair.UntilAsync("a has b's subtraction, which comes behind its sum", () => Task.FromResult(pair.A.Node.Status.Quarantined == 3));
        // 3,000,000,000 does not fit into the column that its own change has already reached: only a subtraction makes room.
        await pair.A.ExecuteAsync("UPDATE summed SET n = n - 1000000000");
        Assert.Equal(3, await pair.A.Node.Quarantine.RetryAllAsync(Token));
        foreach (var (table, rows) in new[]
        {
            ("other", "(1,\"with it\")\n(2,after)"), ("checked", "(1,y)"), ("summed", "(1,0)"), ("shorter", "(1,long)\n(2,ok)"), ("wider", "(1,v)"), ("guarded", "(1,v)"),
            ("merged", "(1,merged)"),
        })
        {
            await pair.UntilEqualAsync(table, rows);
        }

        Assert.Equal((0, 0), (pair.A.Node.Status.Quarantined, pair.B.Node.Status.Quarantined));
        Assert.Equal("(1,v)", await pair.B.DumpAsync("absent"));
        await pair.UntilAsync("the checkpoints move again", () => Task.FromResult(pair.A.Node.Status.RetainedBytes < 4000 && pair.B.Node.Status.RetainedBytes < 4000));
    }

    /// <summary>Many rows go as one statement, which says of none that it is refused, and might be refused for their order alone: one by one they tell.</summary>
    [Fact]
    [Trait("Story", "15")]
    public async Task One_refused_row_among_many_puts_its_transaction_aside()
    {
        await using var pair = await NodePair.StartAsync(servers, Fitting, Unfit, node => node.Replicate("public.*", table => table.OnApplyError(ApplyErrorPolicy.Quarantine)).With(o => o.MaxChangesPerPart = 8));
        await pair.A.ExecuteAsync("INSERT INTO checked SELECT g, CASE g WHEN 6 THEN 'x' ELSE 'a' END FROM generate_series(1, 7) g");
        await pair.UntilAsync("b has put it aside", () => Task.FromResult(pair.B.Node.Status.Quarantined == 1));
        // The refused row comes in a later part.
        await pair.A.ExecuteAsync("INSERT INTO checked SELECT g, CASE g WHEN 31 THEN 'x' ELSE 'b' END FROM generate_series(11, 40) g");
        await pair.A.ExecuteAsync("INSERT INTO other VALUES (1, 'after')");
        await pair.UntilAsync("b has put both aside and gone on", async () => pair.B.Node.Status.Quarantined == 2 && await pair.B.DumpAsync("other") == "(1,after)");
        Assert.Equal([("23514", 7L), ("23514", 30L)], (await pair.B.Node.Quarantine.ListAsync(Token)).Select(e => (e.Code, (long)e.Changes)));
        await pair.B.ExecuteAsync("ALTER TABLE checked DROP CONSTRAINT no_x");
        Assert.Equal(2, await pair.B.Node.Quarantine.RetryAllAsync(Token));
        Assert.Equal(await pair.A.DumpAsync("checked"), await pair.B.DumpAsync("checked"));
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Restart_keeps_the_quarantine_and_a_discard_is_recorded()
    {
        await using var pair = await NodePair.StartAsync(servers, Fitting, Unfit, node => node.Replicate("public.*", table => table.OnApplyError(ApplyErrorPolicy.Quarantine)));
        await pair.A.ExecuteAsync("INSERT INTO checked VALUES (1, 'x')");
        await pair.A.ExecuteAsync("INSERT INTO wider VALUES (1, 'x')");
        await pair.UntilAsync("b has put two aside", () => Task.FromResult(pair.B.Node.Status.Quarantined == 2));
        await pair.B.StopAsync();
        await pair.A.ExecuteAsync("UPDATE checked SET v = 'y'");
        await pair.B.StartAsync();
        await pair.UntilAsync("b has put the update behind", () => Task.FromResult(pair.B.Node.Status.Quarantined == 3));
        // Written on b in ignorance of a's rows: a's own are older, so b's stay, on both.
        await pair.B.ExecuteAsync("INSERT INTO checked VALUES (1, 'b')");
        await pair.UntilAsync("a has b's row", async () => await pair.A.DumpAsync("checked") == "(1,b)");

        var entries = await pair.B.Node.Quarantine.ListAsync(Token);
        await pair.B.Node.Quarantine.DiscardAsync(entries[0].Id, Token);
        await pair.B.Node.Quarantine.DiscardAsync(entries[1].Id, Token);
        Assert.Equal(0, pair.B.Node.Status.Quarantined);
        await pair.UntilEqualAsync("checked", "(1,b)");
        var records = await pair.B.Node.Conflicts.QueryAsync(new ConflictQuery { Type = ConflictType.Discarded }, Token).ToListAsync(Token);
        Assert.Equal(["public.wider", "public.checked"], records.Select(r => r.Table.ToString()));
        Assert.Equal(("x", null, "x", "b"), (records[0].RemoteRow!["v"], records[0].LocalRow, records[1].RemoteRow!["v"], records[1].LocalRow!["v"]));
        Assert.Equal("discarded quarantine", await pair.B.ScalarAsync<string>("SELECT DISTINCT type || ' ' || resolver FROM active_active.conflict WHERE type = 'discarded'"));
    }

    private sealed class Moody : IConflictResolver
    {
        public bool IsWell { get; set; }

        public ConflictResolution Resolve(Conflict conflict) => IsWell ? ConflictResolution.Merge(conflict.Remote.With("v", "merged")) : throw new TimeZoneNotFoundException("a's row");
    }
}
