using System.Reflection;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Database.Postgres.SetUp;
using NpgsqlTypes;

namespace ActiveActive.Tests.Database.Postgres.SetUp;

/// <summary>The pure parts of set-up: checks and plan. What real catalogs look like is tested on real servers.</summary>
public sealed class SetUpCheckTests
{
    [Fact]
    public void Fit_database_has_no_problem() => Assert.Empty(SetUpCheck.Find(Facts()));

    [Theory]
    [InlineData(0, 3, 1, 1)]
    [InlineData(0, 3, 3, 3)]
    [InlineData(7, 3, 1, 10)]
    [InlineData(7, 3, 2, 8)]
    [InlineData(7, 3, 3, 9)]
    [InlineData(9, 3, 3, 12)]
    [InlineData(1, 2, 1, 3)]
    public void Restart_is_the_next_value_with_the_nodes_own_remainder(long last, int nodes, int rank, long restart)
    {
        Assert.Equal(restart, SequenceKeyCheck.Restart(last, nodes, rank));
        Assert.True(restart > last);
        Assert.Equal(rank % nodes, restart % nodes);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    [InlineData(-3, true)]
    [InlineData(-2, false)]
    [InlineData(10, true)]
    public void Sequence_is_accepted_when_it_counts_in_steps_of_at_least_the_number_of_nodes(long increment, bool accepted)
    {
        var column = new ColumnFacts("id") { IsSequenceBacked = true, Sequence = new(new("public", "s"), increment, 5) };

        var problems = SetUpCheck.Find(Facts(Table() with { Columns = [column] }));

        Assert.Equal(accepted ? [] : [SetUpCodes.SequenceKey], problems.Select(p => p.Code));
    }

    [Theory]
    [InlineData(8, false, false, true)]
    [InlineData(9, false, false, false)]
    [InlineData(9, true, false, true)]
    [InlineData(10, true, true, true)]
    [InlineData(10, true, false, false)]
    public void Slots_must_have_room_for_the_node_and_one_copy(int taken, bool hasOwn, bool hasCopy, bool fits)
    {
        var facts = Facts() with
        {
            Server = new ServerFacts { Database = "app", DatabaseOid = 5, ReplicationSlots = taken },
            Node = new NodeFacts { Slot = hasOwn ? new SlotFacts("active_active_5") { Database = "app" } : null, HasCatchUpSlot = hasCopy },
        };

        Assert.Equal(fits ? [] : [SetUpCodes.ReplicationSlots], SetUpCheck.Find(facts).Select(p => p.Code));
    }

    [Fact]
    public void Wal_senders_count_the_nodes_own_only_once()
    {
        var idle = new SlotFacts("active_active_5") { Database = "app" };
        var server = new ServerFacts { Database = "app", DatabaseOid = 5, ReplicationSlots = 1, WalSenders = 9 };

        var free = SetUpCheck.Find(Facts() with { Server = server, Node = new NodeFacts { Slot = idle } });
        var own = SetUpCheck.Find(Facts() with { Server = server, Node = new NodeFacts { Slot = idle with { ActivePid = 1 } } });

        Assert.Equal([SetUpCodes.WalSenders], free.Select(p => p.Code));
        Assert.Empty(own);
    }

    [Fact]
    public void Standby_is_refused_without_a_word_on_its_timeline()
    {
        var facts = Facts() with
        {
            Server = new ServerFacts { IsInRecovery = true, Database = "app", DatabaseOid = 5, SystemIdentifier = 1 },
            Node = new NodeFacts { Local = new("eu", 1, 1, 5, Guid.Empty) },
        };

        Assert.Equal([SetUpCodes.Standby], SetUpCheck.Find(facts).Select(p => p.Code));
    }

    [Fact]
    public void Slot_confirmed_up_to_the_checkpoint_or_less_is_fit()
    {
        foreach (var (confirmed, code) in new[] { (90ul, ""), (100ul, ""), (101ul, SetUpCodes.SlotAhead) })
        {
            var facts = Facts() with
            {
                Server = new ServerFacts { Database = "app", DatabaseOid = 5, SystemIdentifier = 1, Timeline = 1, WalPosition = new(200) },
                Node = new NodeFacts
                {
                    Local = new("eu", 1, 1, 5, Guid.Empty),
                    Checkpoint = new(new NpgsqlLogSequenceNumber(100), []),
                    Slot = new SlotFacts("active_active_5") { Database = "app", ConfirmedFlush = new(confirmed) },
                    Publication = new PublicationFacts(),
                },
            };

            Assert.Equal(code, string.Concat(SetUpCheck.Find(facts).Select(p => p.Code)));
        }
    }

    [Fact]
    public void Delta_columns_and_a_resolver_on_one_table_are_refused()
    {
        var table = Table() with { Settings = new TableSettings([new DeltaColumn("n")], new KeepLocal()), Columns = [new("id"), new("n")] };

        Assert.Equal([SetUpCodes.DeltaAndResolver], SetUpCheck.Find(Facts(table)).Select(p => p.Code));
    }

    [Fact]
    public void Schema_with_a_dot_in_its_name_is_refused() => Assert.Equal([SetUpCodes.DottedSchema], SetUpCheck.Find(Facts(Table() with { Relation = new(10, new("a.b", "t"), 'r', 10) })).Select(p => p.Code));

    [Fact]
    public void New_member_of_a_read_publication_is_locked_before_it_is_published()
    {
        var facts = Facts(Table()) with
        {
            Node = new NodeFacts
            {
                SchemaStep = PostgresSchema.Steps.Count, Publication = new PublicationFacts(), Origins = [new("us"), new("ap"), new("eu")],
                Checkpoint = new(new NpgsqlLogSequenceNumber(1), []),
            },
        };

        Assert.Equal(
            ["LOCK TABLE ONLY \"public\".\"t\" IN SHARE ROW EXCLUSIVE MODE", "ALTER PUBLICATION active_active ADD TABLE ONLY \"public\".\"t\", ONLY \"active_active\".\"orphan\""],
            SetUpPlan.Statements(facts));
    }

    [Fact]
    public void Residency_needs_its_column_a_home_and_last_update_wins()
    {
        static TableRule Rule(string column, params string[] elsewhere) => new() { Pattern = "public.t", Residency = new Residency(column).Region("DE", "eu").Elsewhere(elsewhere) };
        static IEnumerable<string> Codes(TableRule rule, ForeignKey? key = null)
        {
            var rules = new ReplicatedTables([rule], self: new("eu"));
            var table = Table() with { Settings = rules.SettingsOf(new("public", "t")), Columns = [new("id"), new("country"), new("computed") { IsGenerated = true }] };
            var facts = Facts(table);
            return SetUpCheck.Find(facts with { Options = facts.Options with { Tables = rules }, ForeignKeys = key is null ? [] : [key] }).Select(p => p.Code);
        }

        Assert.Empty(Codes(Rule("country", "eu", "us")));
        Assert.Equal([SetUpCodes.ResidencyHome], Codes(Rule("country", "us")));
        Assert.Equal([SetUpCodes.ResidencyColumn], Codes(Rule("region", "eu", "us")));
        Assert.Equal([SetUpCodes.ResidencyColumn], Codes(Rule("computed", "eu", "us")));
        var merged = Rule("country", "eu", "us");
        merged.Resolver = new KeepLocal();
        Assert.Equal([SetUpCodes.ResidencyRule], Codes(merged));
        var key = new ForeignKey { Table = new("public", "t"), Name = "k", Columns = ["id"], Referenced = new("public", "p"), ReferencedColumns = ["id"], NullableColumns = ["id"], Policy = OrphanPolicy.SetNull };
        Assert.Equal([SetUpCodes.ResidencyOrphans], Codes(Rule("country", "eu", "us"), key));
        Assert.Equal([SetUpCodes.ResidencyOrphans], Codes(Rule("country", "eu", "us"), key with { Table = new("public", "c"), Referenced = new("public", "t") }));
    }

    [Fact]
    public void Version_before_15_is_refused() => Assert.Equal(SetUpCodes.ServerTooOld, ServerCheck.TooOld(140011).Code);

    [Fact]
    public void Codes_are_unique_and_each_is_explained()
    {
        var codes = typeof(SetUpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => (string)f.GetRawConstantValue()!).ToList();
        var document = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "ERRORS.md"));

        Assert.Equal(codes.Count, codes.Distinct().Count());
        Assert.All(codes, code => Assert.Contains($"<a id=\"{code}\"></a>", document, StringComparison.Ordinal));
        Assert.Equal(codes.Count(static code => code.StartsWith("AA1", StringComparison.Ordinal)), document.Split("<a id=\"AA1").Length - 1);
    }

    [Fact]
    public void Script_grants_every_function_that_is_required()
    {
        var script = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "setup-role.sql")).Replace("timestamptz", "timestamp with time zone", StringComparison.Ordinal);

        Assert.All(RoleFacts.RequiredFunctions, function => Assert.Contains("pg_catalog." + function, script, StringComparison.Ordinal));
    }

    private static TableFacts Table() => new()
    {
        Relation = new(10, new("public", "t"), 'r', 10), Settings = TableSettings.Default, Key = ["id"], Columns = [new("id")],
    };

    private static SetUpFacts Facts(params TableFacts[] tables) => new()
    {
        Options = new PostgresDatabaseOptions
        {
            Node = new("eu"), ConnectionString = "", Peers = [new("us"), new("ap")], Tables = new ReplicatedTables([]),
        },
        Server = new ServerFacts { Database = "app", DatabaseOid = 5 },
        Role = new RoleFacts { Name = "app" },
        Node = new NodeFacts(),
        Relations = [.. tables.Select(t => t.Relation)],
        Tables = tables,
    };

    private static string RepositoryRoot([System.Runtime.CompilerServices.CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(path, "..", "..", "..", "..", "..", ".."));

    private sealed class KeepLocal : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.KeepLocal;
    }
}
