using ActiveActive.Database;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

public sealed class HandshakeTests
{
    private static readonly NodeName s_eu = new("eu");
    private static readonly NodeName s_us = new("us");
    private static readonly IReadOnlyList<KeyValuePair<string, string>> s_settings = ClusterSettings.Of([new TableRule { Pattern = "public.*" }], null);

    [Fact]
    [Trait("Story", "24")]
    public void A_peer_that_lost_what_it_had_applied_is_refused_and_skips_nothing()
    {
        var refuse = Assert.IsType<RefuseFrame>(Node().Answer(Hello() with { ResumeAfter = new(99) }, extent: new(new(100), new(200))));
        Assert.Equal("AA3007", refuse.Code);
        Assert.IsType<WelcomeFrame>(Node().Answer(Hello() with { ResumeAfter = new(100) }, extent: new(new(100), new(200))));
    }

    [Fact]
    public void Expected_node_may_join_and_do_nothing_else()
    {
        var node = Node() with { Peers = [], Expected = [s_us] };
        Assert.IsType<WelcomeFrame>(node.Answer(Hello() with { Purpose = HelloPurpose.Join }, extent: new(new(100), new(200))));
        foreach (var purpose in (HelloPurpose[])[HelloPurpose.Changes, HelloPurpose.Rows, HelloPurpose.Copy])
        {
            var refuse = Assert.IsType<RefuseFrame>(node.Answer(Hello() with { Purpose = purpose, ResumeAfter = new(300) }, extent: new(new(100), new(200))));
            Assert.Equal("AA3041", refuse.Code);
            Assert.Contains("JoinFrom(\"eu\")", refuse.Message, StringComparison.Ordinal);
        }

        Assert.Equal("AA3004", Assert.IsType<RefuseFrame>(node.Answer(Hello() with { From = new("ap"), Purpose = HelloPurpose.Join })).Code);
    }

    [Fact]
    public void Known_peer_with_equal_settings_is_welcome()
    {
        var welcome = Assert.IsType<WelcomeFrame>(Node().Answer(Hello()));
        Assert.Equal(s_eu, welcome.From);
        Node(s_us, 2).Accept(welcome, Hello());
    }

    [Fact]
    public void Each_mismatch_has_its_code_the_names_and_the_fix()
    {
        AssertRefused("AA3001", Hello() with { MinProtocol = 7, MaxProtocol = 9 }, "'us' speaks protocol 7 to 9", "older library");
        AssertRefused("AA3002", Hello() with { To = new("ap") }, "'us' dialled 'ap' and reached 'eu'", "AddPeer(\"ap\", …) on node 'us'");
        AssertRefused("AA3003", Hello() with { From = s_eu }, "Two nodes are named 'eu'", "Named(…)");
        AssertRefused("AA3003", Hello() with { From = s_eu, To = s_us }, "Two nodes are named 'eu'", "Named(…)");
        AssertRefused("AA3002", Hello() with { From = s_eu, To = s_us, Identity = Identity(1) }, "'eu' dialled 'us' and reached 'eu'", "Mend the address");
        AssertRefused("AA3004", Hello() with { From = new("ap") }, "'eu' knows no peer 'ap'", "AddPeer(\"ap\", …)");
        AssertRefused("AA3009", Hello() with { Origin = new("ap") }, "'us' asks node 'eu' for the transactions of 'ap'", "AddPeer");
        AssertRefused("AA3009", Hello() with { Origin = s_us }, "no peer of 'eu'");
        AssertRefused("AA3005", Hello() with { Identity = Identity(1) }, "'eu' and 'us' live in the same database", "DROP SCHEMA active_active");
        AssertRefused("AA3005", Hello() with { Identity = Identity(2) with { Incarnation = Identity(1).Incarnation } }, "one is a copy of the other", "database of its own");
        var deltas = new TableRule { Pattern = "public.t" };
        deltas.DeltaColumns.Add("n");
        AssertRefused("AA3006", Hello() with { Settings = ClusterSettings.Of([new TableRule { Pattern = "public.*" }, deltas], null) }, "table public.t: 'not set' on 'eu', 'delta columns (n)", "Make them equal");
    }

    [Fact]
    public void Second_node_of_a_name_is_refused_while_the_first_is_connected()
    {
        Assert.IsType<WelcomeFrame>(Node().Answer(Hello(), Identity(2)));
        var refuse = Assert.IsType<RefuseFrame>(Node().Answer(Hello(), Identity(3)));
        Assert.Equal("AA3003", refuse.Code);
        Assert.Contains("Two nodes are named 'us'", refuse.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Dialler_refuses_another_node_and_its_own_database()
    {
        var other = Assert.Throws<ReplicationException>(() => Node().Accept(new WelcomeFrame(1, new("ap"), Identity(2), default), Hello(to: s_us)));
        Assert.Equal(ReplicationErrorKind.PeerRefused, other.Kind);
        Assert.Contains("'us' answers as node 'ap'", other.Message, StringComparison.Ordinal);
        Assert.Contains("same database", Assert.Throws<ReplicationException>(() => Node().Accept(new WelcomeFrame(1, s_us, Identity(1), default), Hello(to: s_us))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(1, 2, 1)]
    [InlineData(2, 1, 1)]
    [InlineData(2, 2, 2)]
    [Trait("Story", "32")]
    public void Adjacent_versions_speak_the_older_one(int dialler, int sender, int spoken)
    {
        var hello = (Node(s_us, 2) with { NewestProtocol = dialler }).Hello(s_eu, s_eu, default, HelloPurpose.Changes, takesCompressed: true);
        Assert.Equal(dialler < 2, hello.Features is null);
        var welcome = Assert.IsType<WelcomeFrame>((Node() with { NewestProtocol = sender, Compresses = _ => true }).Answer(hello));
        Assert.Equal((spoken, spoken < 2), (welcome.Protocol, welcome.Features is null));
        if (spoken == 2) Assert.Equal([Handshake.Brotli], welcome.Features!);
        Node(s_us, 2).Accept(welcome, hello);
    }

    [Fact]
    [Trait("Story", "32")]
    public void Versions_without_a_common_one_are_refused_with_both_ranges()
    {
        AssertRefused("AA3001", Hello() with { MinProtocol = 3, MaxProtocol = 4, Features = [] }, "'us' speaks protocol 3 to 4", "'eu' 1 to 2");
        AssertRefused("AA3001", Hello() with { MinProtocol = 0, MaxProtocol = 0 }, "'us' speaks protocol 0 to 0", "'eu' 1 to 2");
        var held = Assert.IsType<RefuseFrame>((Node() with { NewestProtocol = 1 }).Answer(Hello() with { MinProtocol = 2, MaxProtocol = 3, Features = [] }));
        Assert.Contains("'us' speaks protocol 2 to 3, node 'eu' 1 to 1", held.Message, StringComparison.Ordinal);
        var fault = Assert.Throws<ReplicationException>(() => Node(s_us, 2).Accept(new WelcomeFrame(3, s_eu, Identity(1), default, []), Hello()));
        Assert.Equal(ReplicationErrorKind.PeerRefused, fault.Kind);
        Assert.Contains("AA3001: node 'eu' answers with protocol 3, node 'us' speaks 1 to 1", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Story", "32")]
    public void Dialler_tells_its_versions_and_which_settings_differ()
    {
        var told = Node().Introduce(Node(s_us, 2).Hello(s_eu, s_eu, default, HelloPurpose.Changes, takesCompressed: true) with { Settings = ClusterSettings.Of([new TableRule { Pattern = "app.*" }], null) });
        Assert.Equal((2, ActiveActive.Hosting.LibraryVersion.Text), (told.Protocol, told.LibraryVersion));
        Assert.Contains(told.SettingDifferences, d => d.StartsWith("table app.*: 'not set' on 'eu'", StringComparison.Ordinal));

        // An older one, whose hello has no features; and one with which no protocol is common.
        var older = Node().Introduce((Node(s_us, 2) with { NewestProtocol = 1 }).Hello(s_eu, s_eu, default, HelloPurpose.Changes, takesCompressed: true));
        Assert.Equal((1, null), (older.Protocol, older.LibraryVersion));
        Assert.Empty(older.SettingDifferences);
        Assert.Null(Node().Introduce(Hello() with { MinProtocol = 3, MaxProtocol = 4, Features = [] }).Protocol);
    }

    [Fact]
    [Trait("Story", "32")]
    public void Unknown_features_are_passed_over_and_none_is_used_that_one_side_does_not_want()
    {
        var hello = Node(s_us, 2).Hello(s_eu, s_eu, default, HelloPurpose.Changes, takesCompressed: true) with { Features = ["teleport", Handshake.Brotli, ""] };
        IReadOnlyList<string>? Features(HelloFrame said, bool compresses = true) => Assert.IsType<WelcomeFrame>((Node() with { Compresses = _ => compresses }).Answer(said)).Features;
        Assert.Equal([Handshake.Brotli], Features(hello)!);
        Assert.Empty(Features(hello with { Features = ["teleport"] })!);
        Assert.Empty(Features(hello, compresses: false)!);
        Assert.Empty(Features(hello with { Purpose = HelloPurpose.Rows })!);
        Assert.DoesNotContain(Handshake.Brotli, Node(s_us, 2).Hello(s_eu, s_eu, default, HelloPurpose.Changes, takesCompressed: false).Features!);
        var fault = Assert.Throws<ReplicationException>(() => Node(s_us, 2).Accept(new WelcomeFrame(2, s_eu, Identity(1), default, ["teleport"]), hello with { Features = [Handshake.Brotli] }));
        Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
        Assert.Contains("'teleport', which node 'us' did not offer", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_agree_whatever_order_rules_and_columns_have_and_each_difference_is_told()
    {
        TableRule Rule(string pattern, params string[] deltas)
        {
            var rule = new TableRule { Pattern = pattern };
            foreach (var delta in deltas) rule.DeltaColumns.Add(delta);
            return rule;
        }

        var one = ClusterSettings.Of([Rule("public.*"), Rule("public.t", "a"), Rule("public.t", "b", "a")], null);
        Assert.Empty(ClusterSettings.Differences(s_eu, one, s_us, ClusterSettings.Of([Rule("public.t", "b", "a"), Rule("public.*")], null)));
        var other = ClusterSettings.Of([Rule("public.*"), new TableRule { Pattern = "public.t", Resolver = new Later() }, new TableRule { Pattern = "public.x", Exclude = true }], new Later());
        var differences = ClusterSettings.Differences(s_eu, one, s_us, other);
        Assert.Equal(3, differences.Count);
        Assert.Contains(differences, d => d.StartsWith("default resolver: 'last_update_wins' on 'eu'", StringComparison.Ordinal));
        Assert.Contains(differences, d => d.Contains("delta columns (a,b)", StringComparison.Ordinal) && d.Contains(nameof(Later), StringComparison.Ordinal));
        Assert.Contains(differences, d => d.StartsWith("table public.x", StringComparison.Ordinal) && d.Contains("excluded", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Story", "10")]
    public void Orphan_policies_that_differ_are_told_with_the_foreign_key()
    {
        var (one, other) = (new TableRule { Pattern = "public.pets", OnOrphan = OrphanPolicy.SetNull }, new TableRule { Pattern = "public.pets", OnOrphan = OrphanPolicy.SetNull });
        one.OnOrphanOf["tenant,owner"] = OrphanPolicy.Quarantine;
        other.OnOrphanOf["tenant, owner"] = OrphanPolicy.Quarantine;
        var settings = ClusterSettings.Of([one], null);
        Assert.Empty(ClusterSettings.Differences(s_eu, settings, s_us, ClusterSettings.Of([other], null)));
        other.OnOrphanOf["tenant, owner"] = OrphanPolicy.Keep;
        var difference = Assert.Single(ClusterSettings.Differences(s_eu, settings, s_us, ClusterSettings.Of([other], null)));
        Assert.Contains("on orphan (*: SetNull; tenant, owner: Quarantine)' on 'eu'", difference, StringComparison.Ordinal);
        Assert.Contains("tenant, owner: Keep)' on 'us'", difference, StringComparison.Ordinal);
        AssertRefused("AA3006", Hello() with { Settings = settings }, "table public.pets: 'not set' on 'eu'", "on orphan (*: SetNull; tenant, owner: Quarantine)");
    }

    private static void AssertRefused(string code, HelloFrame hello, params string[] said)
    {
        var refuse = Assert.IsType<RefuseFrame>(Node().Answer(hello));
        Assert.Equal(code, refuse.Code);
        foreach (var part in said) Assert.Contains(part, refuse.Message, StringComparison.Ordinal);
    }

    private static Handshake Node(NodeName? name = null, byte database = 1) => new(name ?? s_eu, Identity(database), [name == s_us ? s_eu : s_us], s_settings);

    private static HelloFrame Hello(NodeName? to = null) => new(1, 1, s_us, to ?? s_eu, s_eu, Identity(2), s_settings, default);

    private static DatabaseIdentity Identity(byte number) => new(number, 1, 16_384, new Guid(number, 0, 0, new byte[8]), 180_004);

    private sealed class Later : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.ApplyRemote;
    }
}
