using ActiveActive.Changes;

namespace ActiveActive.Tests.Changes;

public sealed class GroupedVersionsTests
{
    private static readonly NodeName s_a = new("a");

    [Fact]
    public void What_is_read_from_the_log_is_what_was_written()
    {
        var earlier = Enumerable.Range(1, 300).Select(i => new RowVersion(new CommitTimestamp(i), s_a, new((ulong)i * 8))).ToList();
        var last = new RowVersion(new CommitTimestamp(301), s_a, new(4000));
        var rows = earlier.Select((v, i) => (Key($"{i}"), v)).Append((Key("last"), last)).ToList();
        var read = GroupedVersions.Read(s_a, GroupedVersions.TryCreate(earlier, rows)!.ToBytes());
        Assert.Equal(earlier, read.Earlier);
        foreach (var (key, version) in rows.SkipLast(1)) Assert.Equal(version, read.TryGet(key, out var found) ? found : default);
        Assert.False(read.TryGet(Key("last"), out _));
    }

    [Fact]
    public void Rows_that_can_not_be_told_apart_make_no_group() =>
        Assert.Null(GroupedVersions.TryCreate([new(new(1), s_a, new(8))], [(Key("1"), new(new(1), s_a, new(8))), (Key("1"), new(new(2), s_a, new(16)))]));

    [Theory]
    [InlineData("")]
    [InlineData("C0")]
    [InlineData("92909101")]
    [InlineData("929208010100")]
    [InlineData("929208019205CD0001")]
    // Negative numbers, as the fuzzer found them.
    [InlineData("9294FFFE080694CF472E63E5B16DAF0D00CF47000000007092CE01")]
    [InlineData("92940705080694CF472E63E5B16DAF0D00CF4731C9E5B17092FFFF")]
    public void Other_bytes_are_refused(string hex) =>
        Assert.Equal(ReplicationErrorKind.Corrupt, Assert.Throws<ReplicationException>(() => GroupedVersions.Read(s_a, Convert.FromHexString(hex))).Kind);

    private static RowKey Key(string key) => new(new TableName("public", "t"), [key]);
}
