using ActiveActive.Apply;

namespace ActiveActive.Tests.Apply;

public sealed class KeyTypesTests
{
    [Theory]
    [InlineData("integer", "integer", true)]
    [InlineData("integer", "bigint", true)]
    [InlineData("text", "character varying(20)", true)]
    [InlineData("timestamp(3) without time zone", "timestamp without time zone", true)]
    [InlineData("mood", "public.mood", true)]
    [InlineData("integer", "text", false)]
    [InlineData("numeric(10,2)", "numeric(12,4)", false)]
    [InlineData("numeric(10,2)", "integer", false)]
    [InlineData("character(5)", "character(10)", false)]
    [InlineData("character(5)", "text", false)]
    [InlineData("timestamp without time zone", "timestamp with time zone", false)]
    public void Types_whose_values_have_other_texts_are_told_apart(string left, string right, bool areAlike)
    {
        Assert.Equal(areAlike, KeyTypes.WriteAlike(left, right));
        Assert.Equal(areAlike, KeyTypes.WriteAlike(right, left));
    }
}
