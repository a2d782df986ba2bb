using QuickStart;

namespace ActiveActive.Postgres.Tests.QuickStart;

public sealed class QuickStartOptionsTests
{
    [Fact]
    public void Options_are_read_with_a_space_or_an_equals_sign()
    {
        Assert.True(QuickStartOptions.TryParse(["--seconds", "7", "--nodes=4", "--rate", "9", "--postgres=15,18", "--kill"], out var options, out _));
        Assert.Equal((7, 4, 9, true), (options.Seconds, options.Nodes, options.Rate, options.Kill));
        Assert.Equal([15, 18, 15, 18], Enumerable.Range(0, 4).Select(options.PostgresOf));
    }

    [Fact]
    public void Without_options_there_are_three_nodes_of_any_version_for_twenty_seconds()
    {
        Assert.True(QuickStartOptions.TryParse([], out var options, out _));
        Assert.Equal((20, 3, false), (options.Seconds, options.Nodes, options.Kill));
        Assert.Null(options.PostgresOf(0));
    }

    [Theory]
    [InlineData("--nodes 1", "--nodes takes a number from 2 to 5, not '1'.")]
    [InlineData("--nodes", "--nodes takes a number from 2 to 5.")]
    [InlineData("--seconds ten", "--seconds takes a number from 1 to 86400, not 'ten'.")]
    [InlineData("--postgres 15,,18", "--postgres takes a number from 15 to 18.")]
    [InlineData("--kill=yes", "'--kill=yes' is no option.")]
    [InlineData("twenty", "'twenty' is no option.")]
    public void A_wrong_option_is_named(string arguments, string expected)
    {
        Assert.False(QuickStartOptions.TryParse(arguments.Split(' '), out _, out var error));
        Assert.Equal(expected, error);
    }
}
