using QuickStart.Checks;
using QuickStart.Writes;

namespace ActiveActive.Postgres.Tests.QuickStart;

/// <summary>The quick start's "0 lost" is worth what its check finds: each kind of loss must be seen.</summary>
public sealed class LossCheckTests
{
    private static readonly string[] s_nodes = ["eu", "us"];

    private readonly List<LoggedWrite> _writes = [];
    private readonly RecordedConflicts _conflicts = new();
    private readonly BankState _state = new("eu");

    [Fact]
    public void A_balance_that_is_the_sum_of_its_transfers_is_right()
    {
        Write(0, 1, BankTable.Accounts, "7", "1000");
        Write(1, 2, BankTable.Accounts, "7", "-30");
        _state.Balances["7"] = 970;
        Assert.Empty(Check());
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(940)]
    public void A_transfer_that_is_missing_or_applied_twice_is_lost(long balance)
    {
        Write(0, 1, BankTable.Accounts, "7", "1000");
        Write(1, 2, BankTable.Accounts, "7", "-30");
        _state.Balances["7"] = balance;
        Assert.True(Assert.Single(Check()).IsLost);
    }

    [Fact]
    public void A_missing_tag_is_lost_and_one_that_nobody_wrote_is_wrong()
    {
        Write(0, 1, BankTable.Documents, "1", null);
        Write(0, 2, BankTable.Documents, "1", "red");
        Write(1, 3, BankTable.Documents, "1", "blue");
        _state.Tags["1"] = ["blue", "green"];
        var findings = Check();
        Assert.Equal(2, findings.Count);
        Assert.Contains(findings, f => f.IsLost && f.Text.Contains("red", StringComparison.Ordinal));
        Assert.Contains(findings, f => !f.IsLost && f.Text.Contains("green", StringComparison.Ordinal));
    }

    [Fact]
    public void A_tag_that_stands_twice_is_wrong()
    {
        Write(0, 1, BankTable.Documents, "1", "red");
        _state.Tags["1"] = ["red", "red"];
        Assert.False(Assert.Single(Check()).IsLost);
    }

    [Fact]
    public void An_edit_that_a_later_one_replaced_is_not_lost()
    {
        Write(1, 1, BankTable.Profiles, "1", "first");
        Write(0, 2, BankTable.Profiles, "1", "second");
        _state.Edits[(BankTable.Profiles, "1")] = "second";
        Assert.Empty(Check());
    }

    [Fact]
    public void The_last_edit_is_lost_where_an_earlier_one_stands()
    {
        Write(1, 1, BankTable.Profiles, "1", "first");
        Write(0, 2, BankTable.Profiles, "1", "second");
        _state.Edits[(BankTable.Profiles, "1")] = "first";
        Assert.True(Assert.Single(Check()).IsLost);
    }

    [Fact]
    public void The_last_edit_is_wrongly_beaten_where_it_stands_in_the_conflict_history_only()
    {
        Write(1, 1, BankTable.Profiles, "1", "first");
        Write(0, 2, BankTable.Profiles, "1", "second");
        _conflicts.Add("public.profiles", "1", "eu", Stamp(2));
        _state.Edits[(BankTable.Profiles, "1")] = "first";
        Assert.False(Assert.Single(Check()).IsLost);
    }

    [Fact]
    public void Of_equal_stamps_the_greater_node_name_wins()
    {
        Write(1, 1, BankTable.Profiles, "1", "of us");
        Write(0, 1, BankTable.Profiles, "1", "of eu");
        _state.Edits[(BankTable.Profiles, "1")] = "of us";
        Assert.Empty(Check());
    }

    [Fact]
    public void A_delete_is_lost_where_the_row_still_stands()
    {
        Write(0, 1, BankTable.Messages, "k", "posted");
        Write(1, 2, BankTable.Messages, "k", null);
        Assert.Empty(Check());
        _state.Edits[(BankTable.Messages, "k")] = "posted";
        Assert.True(Assert.Single(Check()).IsLost);
    }

    [Fact]
    public void A_row_that_nobody_wrote_is_wrong()
    {
        _state.Edits[(BankTable.Messages, "k")] = "from nowhere";
        _state.Balances["9"] = 1;
        Assert.All(Check(), f => Assert.False(f.IsLost));
        Assert.Equal(2, Check().Count);
    }

    private static DateTime Stamp(int second) => new(2026, 1, 1, 0, 0, second, DateTimeKind.Utc);

    private void Write(int node, int second, BankTable table, string key, string? content) =>
        _writes.Add(new LoggedWrite(node, (ulong)_writes.Count + 1, [new RowWrite(table, key, content)]) { Outcome = WriteOutcome.Acknowledged, Stamp = Stamp(second) });

    private List<Finding> Check() => [.. new LossCheck(s_nodes, _writes, _conflicts).Check(_state)];
}
