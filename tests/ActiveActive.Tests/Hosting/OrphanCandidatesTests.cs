using ActiveActive.Hosting;

namespace ActiveActive.Tests.Hosting;

/// <summary>Which orphans a node may treat, check by check.</summary>
public sealed class OrphanCandidatesTests
{
    [Fact]
    public void First_node_treats_what_still_stands_when_the_first_check_is_stable()
    {
        var candidates = new OrphanCandidates(rank: 0);
        Assert.True(Next(candidates, false, [], "1", "2"));
        Assert.False(Next(candidates, false, [], "1", "2", "3"));
        Assert.True(Next(candidates, true, ["2"], "2", "3"));
        // 2 was refused and is due again; 3 was seen when the turn before began, and no earlier.
        Assert.True(Next(candidates, true, ["2", "3"], "2", "3"));
        Assert.False(Next(candidates, true, []));
        Assert.True(candidates.IsEmpty);
    }

    [Fact]
    public void Further_nodes_let_a_turn_pass_each()
    {
        var candidates = new OrphanCandidates(rank: 2);
        Assert.True(Next(candidates, true, [], "1"));
        Assert.True(Next(candidates, true, [], "1"));
        Assert.False(Next(candidates, false, [], "1"));
        Assert.True(Next(candidates, true, [], "1"));
        Assert.True(Next(candidates, true, ["1"], "1"));
    }

    [Fact]
    public void Orphan_of_another_parent_is_another_orphan()
    {
        var candidates = new OrphanCandidates(rank: 0);
        candidates.Next([Orphan("1", "p")], isStable: false);
        Assert.Empty(candidates.Next([Orphan("1", "q")], isStable: true).Due);
        Assert.Single(candidates.Next([Orphan("1", "q")], isStable: true).Due);
    }

    private static bool Next(OrphanCandidates candidates, bool isStable, string[] due, params string[] standing)
    {
        var (found, isNewTurn) = candidates.Next([.. standing.Select(s => Orphan(s, "p"))], isStable);
        Assert.Equal(due, found.Select(o => o.Key[0]));
        return isNewTurn;
    }

    private static OrphanedRow Orphan(string key, string parent) =>
        new(TableName.Parse("public.pets"), [key], "pets_owner_fkey", [parent], TableName.Parse("public.owners"), OrphanPolicy.SetNull);
}
