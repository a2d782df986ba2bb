namespace ActiveActive.Tests.Conflicts;

public sealed class ArrayTextTests
{
    [Theory]
    [InlineData("{}")]
    [InlineData("{a,b}")]
    [InlineData("{NULL,\"NULL\",\"\"}")]
    [InlineData("{\"a,b\",\"{x}\",\"say \\\"hi\\\"\",\"back\\\\slash\",\" blank \"}")]
    public void Text_survives_reading_and_writing(string text) => Assert.Equal(text, ArrayText.Write(ArrayText.Parse(text)));

    [Fact]
    public void Null_is_no_text_and_quoted_null_is() => Assert.Equal([null, "NULL", ""], ArrayText.Parse("{NULL,\"NULL\",\"\"}"));

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("a,b")]
    [InlineData("{{1,2},{3,4}}")]
    [InlineData("{\"open}")]
    [InlineData("{\"a\"b}")]
    public void What_is_no_one_dimensional_array_is_refused(string text) => Assert.Throws<FormatException>(() => ArrayText.Parse(text));
}
