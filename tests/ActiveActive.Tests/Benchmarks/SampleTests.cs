using ActiveActive.Benchmarks.Reports;

namespace ActiveActive.Tests.Benchmarks;

public sealed class SampleTests
{
    [Fact]
    public void Median_of_an_odd_count_is_the_middle_value() => Assert.Equal(3, new Sample([9, 1, 3]).Median);

    [Fact]
    public void Median_of_an_even_count_is_the_mean_of_the_two_in_the_middle() => Assert.Equal(2.5, new Sample([4, 1, 3, 2]).Median);

    [Fact]
    public void Ratios_are_taken_round_by_round()
    {
        // The second round was twice as slow for both; the quotient of the medians would not be 2.
        var ratio = Sample.Ratio([2, 4, 30], [1, 2, 10]);
        Assert.Equal((2, 2, 3), (ratio.Min, ratio.Median, ratio.Max));
    }

    [Fact]
    public void Ratio_of_unequal_counts_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => Sample.Ratio([1, 2], [1]));

    [Fact]
    public void Geometric_mean_of_a_half_and_two_is_one() => Assert.Equal(1, Sample.GeometricMean([0.5, 2]), 12);
}
