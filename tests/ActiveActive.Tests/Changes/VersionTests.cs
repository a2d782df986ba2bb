using ActiveActive.Changes;

namespace ActiveActive.Tests.Changes;

public sealed class VersionTests
{
    [Fact]
    [Trait("Story", "3")]
    public void Versions_have_one_total_order()
    {
        // In order: stamp, then node; within one node its log, also where a stamp ran backwards a little.
        RowVersion[] ordered = [V(1, "a", 10), V(5, "a", 20), V(5, "a", 30), V(5, "b", 1), V(5, "c", 1), V(6, "a", 40)];
        for (var i = 0; i < ordered.Length; i++)
        {
            for (var j = 0; j < ordered.Length; j++) Assert.Equal(i > j, ordered[i].IsNewerThan(ordered[j]));
        }

        Assert.True(V(4, "a", 50).IsNewerThan(V(5, "a", 40)));
        Assert.True(V(long.MinValue + 1, "a", 1).IsNewerThan(new RowVersion(CommitTimestamp.Unknown, new("b"), default)));
    }

    [Fact]
    public void Stamps_keep_microseconds_and_know_the_unknown()
    {
        var instant = new DateTimeOffset(2026, 11, 23, 1, 2, 3, TimeSpan.FromHours(2)).AddTicks(45_678_90);
        Assert.Equal(instant.ToUniversalTime(), CommitTimestamp.From(instant).ToDateTimeOffset());
        Assert.Equal("2026-11-22T23:02:03.456789Z", CommitTimestamp.From(instant).ToString());
        Assert.False(CommitTimestamp.Unknown.IsKnown);
        Assert.Throws<InvalidOperationException>(() => CommitTimestamp.Unknown.ToDateTimeOffset());
    }

    [Fact]
    public void Vector_covers_what_it_names_and_advances_only_forward()
    {
        var vector = DependencyVector.Of([new(new("b"), new(7)), new(new("a"), new(5))]);
        Assert.True(vector.Covers(new("a"), new(5)));
        Assert.False(vector.Covers(new("a"), new(6)));
        Assert.False(vector.Covers(new("c"), new(1)));
        Assert.True(vector.Covers(new("c"), default));
        Assert.Same(vector, vector.Advance(new("b"), new(6)));
        Assert.Equal(new(8), vector.Advance(new("b"), new(8))[new("b")]);
        Assert.Equal(new(7), vector[new("b")]);
        Assert.Equal(DependencyVector.Of([new(new("a"), new(5)), new(new("b"), new(7))]), vector);
        Assert.Equal(3, vector.Advance(new("c"), new(1)).Count);
    }

    [Fact]
    public void Vector_with_a_gap_covers_what_comes_after_it_and_is_complete_before_it()
    {
        var (a, b) = (new NodeName("a"), new NodeName("b"));
        var vector = DependencyVector.Empty.Advance(a, new(5)).WithGap(a, new(7)).WithGap(b, new(2)).WithGap(a, new(6)).Advance(a, new(9));
        Assert.False(vector.Covers(a, new(7)));
        Assert.True(vector.Covers(a, new(8)));
        Assert.Equal((new(9), new(5), new(1)), (vector[a], vector.CompleteUpTo(a), vector.CompleteUpTo(b)));
        Assert.Equal("{a:0/9, b:0/2 without a:0/6 without a:0/7 without b:0/2}", vector.ToString());
        Assert.NotEqual(vector, vector.WithoutGap(a, new(7)));
        var closed = vector.WithoutGap(a, new(7)).WithoutGap(a, new(6)).WithoutGap(b, new(2)).WithoutGap(b, new(1));
        Assert.Equal(DependencyVector.Of([new(a, new(9)), new(b, new(2))]), closed);
        Assert.Same(closed, closed.WithoutGap(a, new(9)));
    }

    [Theory]
    [InlineData("eu", true)]
    [InlineData("eu-west_1", true)]
    [InlineData("1eu", false)]
    [InlineData("EU", false)]
    [InlineData("e u", false)]
    [InlineData("é", false)]
    [InlineData("", false)]
    public void Node_names_are_lower_case_letters_digits_dashes_and_underscores(string text, bool isValid)
    {
        Assert.Equal(isValid, NodeName.IsValid(text));
        if (isValid) Assert.Equal(text, new NodeName(text).Value);
        else Assert.Contains($"'{text}' is not a node name", Assert.Throws<ArgumentException>(() => new NodeName(text)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Node_name_has_a_greatest_length_and_an_ordinal_order()
    {
        Assert.True(NodeName.IsValid(new string('a', NodeName.MaxLength)));
        Assert.False(NodeName.IsValid(new string('a', NodeName.MaxLength + 1)));
        Assert.True(new NodeName("a-b") < new NodeName("a_b"));
        Assert.True(new NodeName("b") > new NodeName("a1"));
        Assert.True(default(NodeName).IsNone);
    }

    [Fact]
    public void Key_texts_are_equal_exactly_where_keys_are()
    {
        string[][] keys = [["a", "b"], ["a,b"], ["a\"", "b"], ["", "ab"], ["grüß 🙂 <&>'"], ["line\nbreak", "\\"], ["ab", ""]];
        Assert.Equal(keys.Length, keys.Select(k => KeyText.Write(k)).Distinct().Count());
        foreach (var key in keys) Assert.Equal(key, KeyText.Read(KeyText.Write(key)));
        Assert.Equal("[\"17\",\"de\"]", KeyText.Write(["17", "de"]));
        // What is written without the writer of JSON is what that would write.
        var options = new System.Text.Json.JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        for (var c = '\0'; c < 0x100; c++) Assert.Equal(System.Text.Json.JsonSerializer.Serialize(new[] { $"a{c}b" }, options), KeyText.Write([$"a{c}b"]));
    }

    private static RowVersion V(long stamp, string node, ulong position) => new(new CommitTimestamp(stamp), new NodeName(node), new(position));
}
