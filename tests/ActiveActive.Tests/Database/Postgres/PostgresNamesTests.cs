using ActiveActive.Database;
using ActiveActive.Database.Postgres;

namespace ActiveActive.Tests.Database.Postgres;

public sealed class PostgresNamesTests
{
    private static readonly NodeName s_long = new("a" + new string('b', NodeName.MaxLength - 2) + "c");
    private static readonly NodeName s_longer = new("a" + new string('b', NodeName.MaxLength - 2) + "d");

    /// <summary>Purposes whose names would be cut to the same, or differ in a character that a slot's name can't have.</summary>
    public static TheoryData<string, string, string, string> Pairs() => new()
    {
        { s_long.Value, s_long.Value, s_long.Value, s_longer.Value },
        { "a-b", "", "a_b", "" },
        { "a", "b", "a_of_b", "" },
        { "a", "b", "b", "a" },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Copies_of_the_slot_for_two_purposes_have_two_names(string peer, string relayed, string otherPeer, string otherRelayed) =>
        Assert.NotEqual(Name(peer, relayed), Name(otherPeer, otherRelayed));

    [Fact]
    public void Name_of_a_copy_is_one_that_the_server_takes()
    {
        Assert.Matches("^[a-z0-9_]{1,63}$", PostgresNames.SlotCopy(uint.MaxValue, new SlotCopy(s_long, s_longer, IsWithApplied: true)));
        Assert.StartsWith("aa_16384_to_us_of_eu_", PostgresNames.SlotCopy(16_384, new SlotCopy(new NodeName("us"), new NodeName("eu"))), StringComparison.Ordinal);
        Assert.NotEqual(PostgresNames.SlotCopy(1, new SlotCopy(new NodeName("eu"))), PostgresNames.SlotCopy(1, new SlotCopy(new NodeName("eu"), IsWithApplied: true)));
    }

    private static string Name(string peer, string relayed) => PostgresNames.SlotCopy(16_384, new SlotCopy(new NodeName(peer), relayed.Length == 0 ? default : new NodeName(relayed)));
}
