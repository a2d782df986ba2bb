using ActiveActive.Database;

namespace ActiveActive.Tests.Database;

public sealed class ReplicatedTablesTests
{
    [Theory]
    [InlineData("public.*", "public.t", true)]
    [InlineData("public.*", "Public.t", false)]
    [InlineData("public.*", "public2.t", false)]
    [InlineData("t", "public.t", true)]
    [InlineData("public.t", "public.tt", false)]
    [InlineData("public.t", "publicxt.t", false)]
    [InlineData("*.orders_*", "shop.orders_2026", true)]
    [InlineData("*.*", "active_active.conflict", false)]
    [InlineData("*.*", "pg_catalog.pg_class", false)]
    [InlineData("*.*", "information_schema.tables", false)]
    [InlineData("public.a+b", "public.a+b", true)]
    public void Pattern_matches_whole_names_and_never_system_tables(string pattern, string table, bool matches) =>
        Assert.Equal(matches, new ReplicatedTables([new TableRule { Pattern = pattern }]).Contains(TableName.Parse(table)));

    [Fact]
    public void Exclusion_wins_wherever_it_stands()
    {
        TableRule[] rules = [new() { Pattern = "public.secret", Exclude = true }, new() { Pattern = "public.*" }];
        foreach (var tables in new[] { new ReplicatedTables(rules), new ReplicatedTables(rules.Reverse()) })
        {
            Assert.False(tables.Contains(new("public", "secret")));
            Assert.True(tables.Contains(new("public", "open")));
        }
    }

    [Fact]
    public void Rules_add_up_the_last_resolver_counts_and_delta_tables_have_no_default_one()
    {
        var (first, last, byDefault) = (new Keep(), new Keep(), new Keep());
        var deltas = new TableRule { Pattern = "public.d" };
        deltas.DeltaColumns.Add("n");
        var more = new TableRule { Pattern = "public.d*" };
        more.DeltaColumns.Add("m");
        more.DeltaColumns.Add("n");
        var tables = new ReplicatedTables(
            [new TableRule { Pattern = "public.r*", Resolver = first }, new TableRule { Pattern = "public.r", Resolver = last }, deltas, more, new TableRule { Pattern = "public.*" }], byDefault);
        Assert.Same(last, tables.SettingsOf(new("public", "r")).Resolver);
        Assert.Same(first, tables.SettingsOf(new("public", "r2")).Resolver);
        Assert.Same(byDefault, tables.SettingsOf(new("public", "x")).Resolver);
        var settings = tables.SettingsOf(new("public", "d"));
        Assert.Equal(["n", "m"], settings.DeltaColumns.Select(d => d.Name));
        Assert.Null(settings.Resolver);
        Assert.True(settings.NeedsFullReplicaIdentity);
    }

    [Fact]
    public void Last_rule_that_names_a_policy_counts_for_tables_that_are_not_there_too()
    {
        var tables = new ReplicatedTables(
        [
            new TableRule { Pattern = "public.*", OnApplyError = ApplyErrorPolicy.Quarantine }, new TableRule { Pattern = "public.t" },
            new TableRule { Pattern = "public.t*", OnApplyError = ApplyErrorPolicy.Hold },
        ]);
        Assert.Equal(ApplyErrorPolicy.Hold, tables.OnApplyError(new("public", "t"), ApplyErrorPolicy.Quarantine));
        Assert.Equal(ApplyErrorPolicy.Quarantine, tables.OnApplyError(new("public", "s"), ApplyErrorPolicy.Hold));
        Assert.Equal(ApplyErrorPolicy.Hold, tables.OnApplyError(new("app", "s"), ApplyErrorPolicy.Hold));
    }

    private sealed class Keep : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.KeepLocal;
    }
}
