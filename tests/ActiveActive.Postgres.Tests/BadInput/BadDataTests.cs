using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>
/// Changes that the receiver can't take: its stream of that peer holds with a message, everything else flows, and after the fix it
/// goes on by itself with nothing lost.
/// </summary>
[Collection(nameof(ClusterServers))]
public sealed class BadDataTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY);";

    public static TheoryData<string, string, string, string[], string> Unfit => new()
    {
        // What b has, what a has, what a writes, what b says, what mends it.
        {
            "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x')",
            ["public.t has no column 'v' (text)", "node 'a'", "ALTER TABLE public.t ADD COLUMN v text"], "ALTER TABLE public.t ADD COLUMN v text"
        },
        {
            "", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x')",
            ["Node 'a' sends rows of table public.t", "Create it"], "CREATE TABLE t (id int PRIMARY KEY, v text)"
        },
        {
            "CREATE TABLE t (id int PRIMARY KEY, v int)", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x')",
            ["public.t", "22P02"], "ALTER TABLE t ALTER v TYPE text"
        },
        {
            // A type that b does not know: named with its column; and one that it knows otherwise.
            "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TYPE mood AS ENUM ('x'); CREATE TABLE t (id int PRIMARY KEY, v mood)", "INSERT INTO t VALUES (1, 'x')",
            ["public.t has no column 'v' (mood)", "node 'a'"], "CREATE TYPE mood AS ENUM ('x'); ALTER TABLE t ADD COLUMN v mood"
        },
        {
            "CREATE TYPE mood AS ENUM ('y'); CREATE TABLE t (id int PRIMARY KEY, v mood)", "CREATE TYPE mood AS ENUM ('x'); CREATE TABLE t (id int PRIMARY KEY, v mood)",
            "INSERT INTO t VALUES (1, 'x')", ["public.t", "22P02"], "ALTER TYPE mood ADD VALUE 'x'"
        },
        {
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(2))", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'xxx')",
            ["public.t", "22001"], "ALTER TABLE t ALTER v TYPE text"
        },
        {
            "CREATE TABLE t (id int PRIMARY KEY, v text CONSTRAINT no_x CHECK (v <> 'x'))", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x')",
            ["public.t", "no_x", "23514"], "ALTER TABLE t DROP CONSTRAINT no_x"
        },
        {
            "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, NULL)",
            ["public.t", "column v", "23502"], "ALTER TABLE t ALTER v DROP NOT NULL"
        },
        {
            "CREATE TABLE t (id numeric(12, 4) PRIMARY KEY)", "CREATE TABLE t (id numeric(10, 2) PRIMARY KEY)", "INSERT INTO t VALUES (1)",
            ["Key column 'id' of public.t is numeric(12,4) here and numeric(10,2) on node 'a'"], "ALTER TABLE t ALTER id TYPE numeric(10, 2)"
        },
        {
            // Refused by the COMMIT itself: from PostgreSQL 16 on the origin's progress has moved by then.
            "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'too late for %', NEW.v USING ERRCODE = 'check_violation'; END $f$;"
            + "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse(); ALTER TABLE t ENABLE ALWAYS TRIGGER late",
            "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x')", ["too late for x", "23514"], "DROP TRIGGER late ON t"
        },
        {
            "CREATE TABLE t (id int, v text PRIMARY KEY)", "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x')",
            ["primary key of public.t is (v) here and (id) on node 'a'"], "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id)"
        },
    };

    [Theory]
    [MemberData(nameof(Unfit))]
    [Trait("Story", "25")]
    [Trait("Story", "26")]
    public async Task Change_that_does_not_fit_is_held_whole_and_applied_after_the_fix(string schemaB, string schemaA, string write, string[] said, string fix)
    {
        const string other = "CREATE TABLE other (id int PRIMARY KEY);";
        await using var pair = await NodePair.StartAsync(servers, other + schemaA, other + schemaB);
        await pair.A.ExecuteAsync($"BEGIN; INSERT INTO other VALUES (1); {write}; COMMIT");
        await pair.A.ExecuteAsync("INSERT INTO other VALUES (2)");
        var peer = await pair.PeerFaultAsync(pair.B, PeerLinkState.Holding, said);
        Assert.DoesNotContain("'x'", peer.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("\"x\"", peer.Message, StringComparison.Ordinal);
        // Nothing of the transaction, nor of later ones; the other direction flows.
        Assert.Equal("", await pair.B.DumpAsync("other"));
        await pair.B.ExecuteAsync("INSERT INTO other VALUES (3)");
        await pair.UntilAsync("a has what b wrote", async () => await pair.A.DumpAsync("other") == "(1)\n(2)\n(3)");

        await pair.B.ExecuteAsync(fix);
        await pair.UntilStreamingAsync();
        await pair.UntilEqualAsync("other", "(1)\n(2)\n(3)");
        await pair.UntilAsync("b has a's row", async () => (await pair.B.DumpAsync("t")).StartsWith(await pair.A.DumpAsync("t"), StringComparison.Ordinal));
        Assert.True(pair.B.Node.Status.Peers[0].AppliedTransactions == 2, "Held transactions are applied once.");
    }

    [Fact]
    [Trait("Story", "25")]
    public async Task Extra_column_with_a_default_is_no_problem()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema, "CREATE TABLE t (extra int NOT NULL DEFAULT 7, id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY);");
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'x')");
        await pair.UntilAsync("b has the row", async () => await pair.B.DumpAsync("t") == "(7,1,x)");
        await pair.A.ExecuteAsync("UPDATE t SET v = 'y'");
        await pair.UntilAsync("b has the update and keeps its own column", async () => await pair.B.DumpAsync("t") == "(7,1,y)");
        await pair.B.ExecuteAsync("UPDATE t SET extra = 8");
        await pair.PeerFaultAsync(pair.A, PeerLinkState.Holding, "public.t has no column 'extra' (integer)", "ALTER TABLE public.t ADD COLUMN extra integer");
        await pair.A.ExecuteAsync("ALTER TABLE public.t ADD COLUMN extra integer");
        await pair.UntilStreamingAsync();
        await pair.UntilAsync("both agree", async () => await pair.A.DumpAsync("t") == "(1,y,8)" && await pair.B.DumpAsync("t") == "(8,1,y)");
    }

    [Fact]
    public async Task Resolver_that_throws_is_named_and_asked_again_until_it_answers()
    {
        var resolver = new Moody();
        await using var pair = await NodePair.StartAsync(servers, Schema, configure: node => node.Replicate("public.t", table => table.ResolveConflictsWith(resolver)));
        await ConflictAsync(pair, "INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (1, 'b')");
        foreach (var node in new[] { pair.A, pair.B }) await pair.PeerFaultAsync(node, PeerLinkState.Holding, typeof(Moody).FullName!, "public.t", nameof(TimeZoneNotFoundException));
        Assert.Equal("(1,a)", await pair.A.DumpAsync("t"));
        Assert.Equal("(1,b)", await pair.B.DumpAsync("t"));
        resolver.IsWell = true;
        await pair.UntilStreamingAsync();
        await pair.UntilEqualAsync("t", "(1,merged)");
        Assert.Equal([1L, 1L], [pair.A.Node.Status.Conflicts, pair.B.Node.Status.Conflicts]);
    }

    [Fact]
    [Trait("Story", "15")]
    public async Task Sum_that_overflows_is_held_and_added_once_there_is_room()
    {
        const string schema = "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL);";
        await using var pair = await NodePair.StartAsync(servers, schema, configure: node => node.Replicate("public.t", table => table.DeltaColumn("n")));
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'x', 0)");
        await pair.UntilEqualAsync("t", "(1,x,0)");
        await ConflictAsync(pair, "UPDATE t SET n = n + 2000000000", "UPDATE t SET n = n + 2000000000");
        foreach (var node in new[] { pair.A, pair.B }) await pair.PeerFaultAsync(node, PeerLinkState.Holding, "column 'n' (integer) of public.t", "out of range");
        Assert.Equal("(1,x,2000000000)", await pair.A.DumpAsync("t"));
        await pair.A.ExecuteAsync("UPDATE t SET n = n - 2000000000");
        await pair.B.ExecuteAsync("UPDATE t SET n = n - 2000000000 + 5");
        await pair.UntilStreamingAsync();
        await pair.UntilEqualAsync("t", "(1,x,5)");
    }

    /// <summary>Writes on both while neither applies the other's.</summary>
    private static async Task ConflictAsync(NodePair pair, string onA, string onB)
    {
        await pair.A.Node.PausePeerAsync(new NodeName("b"));
        await pair.B.Node.PausePeerAsync(new NodeName("a"));
        await pair.UntilAsync("both have paused", () => Task.FromResult(pair.A.Node.Status.Peers[0].Receiving == PeerLinkState.Paused && pair.B.Node.Status.Peers[0].Receiving == PeerLinkState.Paused));
        await pair.A.ExecuteAsync(onA);
        await pair.B.ExecuteAsync(onB);
        await pair.A.Node.ResumePeerAsync(new NodeName("b"));
        await pair.B.Node.ResumePeerAsync(new NodeName("a"));
    }

    private sealed class Moody : IConflictResolver
    {
        public bool IsWell { get; set; }

        public ConflictResolution Resolve(Conflict conflict) => IsWell ? ConflictResolution.Merge(conflict.Remote.With("v", "merged")) : throw new TimeZoneNotFoundException("a's row");
    }
}
