using System.Text;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Hosting;
using ActiveActive.Routes;
using ActiveActive.Transport;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Routes;

/// <summary>Which nodes hold which tables, and what each peer is sent of a transaction.</summary>
public sealed class TableRoutesTests
{
    private static readonly NodeName s_ap = new("ap");
    private static readonly TableRoutes s_routes = new([Rule("public.*", "eu", "us"), Rule("public.secret*", "eu", "ap"), new TableRule { Pattern = "ext.*" }]);

    [Fact]
    public void Table_is_on_the_nodes_that_all_of_its_rules_name()
    {
        Assert.Equal([Eu, Us], s_routes.NodesOf(new("public", "notes"))!.Order());
        Assert.Equal([Eu], s_routes.NodesOf(new("public", "secrets"))!);
        Assert.Null(s_routes.NodesOf(new("ext", "notes")));
        Assert.Null(new TableRoutes([Rule("*.*", "eu")]).NodesOf(ReplicatedTables.Orphans));
    }

    [Fact]
    public void Table_takes_part_on_its_nodes_alone()
    {
        IReadOnlyList<TableRule> rules = [Rule("public.notes", "eu"), new() { Pattern = "public.*" }];
        var (eu, us) = (new ReplicatedTables(rules, self: Eu), new ReplicatedTables(rules, self: Us));
        Assert.True(eu.Contains(new("public", "notes")));
        Assert.False(us.Contains(new("public", "notes")));
        Assert.True(us.IsElsewhere(new("public", "notes")));
        Assert.True(us.Contains(new("public", "others")));
        Assert.False(us.IsElsewhere(new("ext", "others")));
    }

    [Fact]
    public void Partition_that_left_its_table_keeps_the_route_of_its_own_name()
    {
        var routes = new TableRoutes([Rule("public.notes*", "eu"), Rule("public.logs", "eu")]);
        Assert.False(routes.Holds(Us, Relation("notes_2026", "notes_2026")));
        Assert.False(routes.Holds(Us, Relation("logs_2026", "logs")));
    }

    [Fact]
    public void Peer_gets_a_transaction_without_the_tables_that_it_does_not_hold()
    {
        var (notes, secrets) = (Relation("notes", "notes"), Relation("secrets", "secrets"));
        var transaction = Heartbeat() with { IsHeartbeat = false, Origin = Eu, Position = new(7), Changes = [Insert(notes, "open"), Insert(secrets, "SECRET")] };
        var encoder = new TransactionEncoder(MaxFrameBytes, s_routes, [Us, s_ap]);

        var encoded = encoder.Encode(transaction);
        var (toUs, toAp) = (encoded.For(Us), encoded.For(s_ap));
        Assert.Contains("SECRET", TextOf(encoded), StringComparison.Ordinal);
        Assert.Contains("open", TextOf(toUs), StringComparison.Ordinal);
        Assert.DoesNotContain("SECRET", TextOf(toUs), StringComparison.Ordinal);
        Assert.DoesNotContain("secrets", TextOf(toUs), StringComparison.Ordinal);
        // public.* is on eu and us.
        Assert.Empty(toAp.Relations);
        Assert.Equal(transaction.Position, toAp.Position);
        Assert.Equal(TextOf(toUs), TextOf(encoder.EncodeFor(Us, transaction)));
        Assert.Equal(encoded.LengthBytes + toUs.LengthBytes + toAp.LengthBytes, encoded.HeldBytes);

        Assert.Same(transaction, s_routes.Project(transaction, Eu));
        Assert.Equal(new TableName("public", "secrets"), s_routes.FindForbidden(transaction, Us));
        Assert.Null(s_routes.FindForbidden(s_routes.Project(transaction, Us), Us));
        // What a node writes to a table that it should not have goes nowhere, and is taken by nobody.
        Assert.Equal("open", Assert.Single(s_routes.Project(transaction with { Origin = Us }, Eu).Changes).NewRow![1].Text);
        Assert.Equal(new TableName("public", "secrets"), s_routes.FindForbidden(transaction with { Origin = Us }, Eu));
    }

    [Fact]
    public void Transaction_that_all_peers_may_have_is_encoded_once()
    {
        var transaction = Heartbeat() with { IsHeartbeat = false, Origin = Eu, Changes = [Insert(new Relation(new("ext", "t"), new("ext", "t"), [new("id", "int", 1), new("v", "text", 0)]), "x")] };
        var encoded = new TransactionEncoder(MaxFrameBytes, s_routes, [Us, s_ap]).Encode(transaction);
        Assert.Null(encoded.ByPeer);
        Assert.Same(encoded, encoded.For(s_ap));
    }

    /// <summary>A block is compressed once, with all that it was made of, and sent to any peer.</summary>
    [Fact]
    public void Transaction_that_is_not_the_same_for_all_peers_is_in_no_block_with_others()
    {
        var encoder = new TransactionEncoder(MaxFrameBytes, s_routes, [Us, s_ap]);
        var log = new ChangeLog(default, 1 << 20);
        var plain = Heartbeat() with { IsHeartbeat = false, Origin = Eu };
        for (var i = 0; i < 9; i++) log.Append(encoder.Encode(i == 4 ? plain with { Changes = [Insert(Relation("secrets", "secrets"), "SECRET")] } : plain));
        log.TryOpenCursor(default, out var cursor);
        var entries = new List<EncodedTransaction>();
        log.TryRead(ref cursor, 100, entries, out _);
        Assert.Same(entries[4], Assert.Single(entries[4].Block!.Transactions));
        Assert.Equal(entries[..4], entries[0].Block!.Transactions);
        Assert.Null(entries[4].For(Us).Block);
    }

    [Fact]
    public void Who_lacks_what_another_must_have_of_an_origin_does_not_relay()
    {
        var handshake = new Handshake(Us, Identity, [Eu, s_ap], []) { Routes = new TableRoutes([Rule("public.x", "eu", "us")]) };
        var hello = new HelloFrame(2, 2, s_ap, Us, Eu, Identity with { Incarnation = Guid.NewGuid(), DatabaseOid = 1 }, [], default);
        Assert.IsType<WelcomeFrame>(handshake.Answer(hello, extent: new(default, new(9))));
        var other = handshake with { Routes = new TableRoutes([Rule("public.x", "eu", "ap")]) };
        Assert.Equal("AA3061", Assert.IsType<RefuseFrame>(other.Answer(hello, extent: new(default, new(9)))).Code);
        Assert.IsType<WelcomeFrame>(other.Answer(hello with { Origin = Us }, extent: new(default, new(9))));
        Assert.Equal("AA3063", Assert.IsType<RefuseFrame>(other.Answer(hello with { Origin = Us, Purpose = HelloPurpose.Copy })).Code);
    }

    [Fact]
    public void Routes_are_compared_and_must_name_nodes()
    {
        static string Of(params string[] nodes) => ClusterSettings.Of([Rule("public.t", nodes)], null).Single(s => s.Key == "table public.t").Value;
        Assert.Equal(Of("a", "b"), Of("b", "a"));
        Assert.NotEqual(Of("a", "b"), Of("a"));
        Assert.NotEqual(Of(), Of("a"));

        var options = new ReplicationNodeOptions { Name = "eu", JoinFrom = "us" };
        options.Peers["us"] = new PeerOptions();
        options.Tables.Add(Rule("public.t", "eu", "sa"));
        var problems = ReplicationNodeOptionsValidator.Validate(options);
        Assert.Contains(problems, p => p.Contains("names 'sa', which is neither this node nor a peer", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("JoinFrom names 'us', which does not hold the tables of rule 'public.t'", StringComparison.Ordinal));
    }

    /// <summary>eu is at home, us and ap each hold a region.</summary>
    [Fact]
    public void Row_enters_whole_and_leaves_by_its_key()
    {
        var routes = new TableRoutes([new TableRule { Pattern = "public.people", Residency = new Residency("country").Region("US", "eu", "us").Region("JP", "eu", "ap").Elsewhere("eu") }]);
        var people = new Relation(new("public", "people"), new("public", "people"), [new("id", "int", 1), new("country", "text", 0), new("v", "text", 0)]);
        ChangeTransaction Of(Change change) => Heartbeat() with { IsHeartbeat = false, Origin = Eu, Changes = [change] };
        string To(NodeName peer, Change change) => string.Join(' ', routes.Project(Of(change), peer).Changes.Select(c =>
            $"{c.Kind}{(c.OldRow is { } old ? $" {(c.OldIsKeyOnly ? old[0].Text : string.Join('|', old))}" : "")}{(c.NewRow is { } row ? $" {string.Join('|', row)}" : "")}"));

        var insert = Change.Insert(people, Row("1", "US", "x"));
        Assert.Equal(("Insert 1|US|x", ""), (To(Us, insert), To(s_ap, insert)));
        var stays = Change.Update(people, Row("1", "US", "x"), false, Row("1", "US", "y"));
        Assert.Equal(("Update 1|US|x 1|US|y", ""), (To(Us, stays), To(s_ap, stays)));
        var moves = Change.Update(people, Row("1", "US", "x"), false, Row("1", "JP", "x"));
        Assert.Equal(("Delete 1", "Insert 1|JP|x"), (To(Us, moves), To(s_ap, moves)));
        Assert.Same(moves, routes.Project(Of(moves), Eu).Changes[0]);
        var rekeyed = Change.Update(people, Row("1", "US", "x"), false, Row("2", "JP", "x"));
        Assert.Equal(("Delete 1", "Insert 2|JP|x"), (To(Us, rekeyed), To(s_ap, rekeyed)));
        var other = Change.Update(people, Row("1", "US", "x"), false, Row("1", null, "x"));
        Assert.Equal(("Delete 1", ""), (To(Us, other), To(s_ap, other)));
        var delete = Change.Delete(people, Row("1", "JP", "x"), false);
        Assert.Equal(("", "Delete 1|JP|x"), (To(Us, delete), To(s_ap, delete)));
        // Where the log lacks the old row, a home tells who had it.
        Assert.Equal(("", ""), (To(Us, Change.Delete(people, Row("1", null, null), true)), To(s_ap, Change.Update(people, null, false, Row("1", "US", "x")))));
        Assert.Equal(("Truncate", "Truncate"), (To(Us, Change.Truncate(people)), To(s_ap, Change.Truncate(people))));
        var told = Change.Superseded(people, Row("1", null, null), new RowVersion(new(5), Eu, new(9)), [Us]);
        Assert.Equal(("Superseded 1", "", "Superseded 1"), (To(Us, told), To(s_ap, told), To(Eu, told)));

        foreach (var change in (Change[])[insert, stays, moves, rekeyed, other, delete])
        {
            Assert.Null(routes.FindForbidden(routes.Project(Of(change), Us), Us));
            Assert.Null(routes.FindForbidden(routes.Project(Of(change), s_ap), s_ap));
        }

        Assert.NotNull(routes.FindForbidden(Of(moves), Us));
        Assert.NotNull(routes.FindForbidden(Of(moves), s_ap));
        Assert.Null(routes.FindForbidden(Of(told), Us));
        Assert.NotNull(routes.FindForbidden(Of(told) with { Origin = s_ap }, Us));
        Assert.Null(routes.FindLacking(Eu, Us, s_ap));
        Assert.Equal("public.people", routes.FindLacking(Us, s_ap, Eu));
        Assert.Equal("public.people", routes.FindPartial(Us));
        Assert.Null(routes.FindPartial(Eu));
        Assert.True(routes.MayBeTold(Eu, people.Root));
        Assert.False(routes.MayBeTold(Us, people.Root));
    }

    [Fact]
    public void What_has_replaced_a_version_is_read_as_it_was_written()
    {
        var people = new Relation(new("public", "people"), new("public", "people"), [new("id", "int", 1)]);
        var version = new RowVersion(new CommitTimestamp(842_000_000_123_456), s_ap, new(0x77));
        var part = Heartbeat() with { IsHeartbeat = false, Origin = Eu, Changes = [Change.Superseded(people, Row("7"), version, [Us, s_ap])] };
        var read = Assert.Single(StoredTransaction.Decode(StoredTransaction.Encode(part)).Changes);
        Assert.Equal((ChangeKind.Superseded, "7", true, version), (read.Kind, read.OldRow![0].Text, read.OldIsKeyOnly, read.Version));
        Assert.Equal([Us, s_ap], read.Nodes);
    }

    private static string TextOf(EncodedTransaction encoded) =>
        string.Concat(encoded.Relations.Select(r => Encoding.UTF8.GetString(r.FrameBytes.Span))) + Encoding.UTF8.GetString(encoded.FrameBytes.Span);

    private static Change Insert(Relation relation, string value) => Change.Insert(relation, Row("1", value));

    private static Relation Relation(string name, string root) => new(new("public", name), new("public", root), [new("id", "int", 1), new("v", "text", 0)]);

    private static TableRule Rule(string pattern, params string[] nodes)
    {
        var rule = new TableRule { Pattern = pattern };
        foreach (var node in nodes) rule.OnlyOn.Add(node);
        return rule;
    }
}
