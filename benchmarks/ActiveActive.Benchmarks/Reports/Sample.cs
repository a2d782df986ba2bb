namespace ActiveActive.Benchmarks.Reports;

/// <summary>The figures of one case over all rounds.</summary>
internal sealed class Sample(IEnumerable<double> values)
{
    private readonly double[] _sorted = [.. values.Order()];

    public int Count => _sorted.Length;

    public double Min => _sorted[0];

    public double Max => _sorted[^1];

    /// <summary>The middle value, or the mean of the two in the middle.</summary>
    public double Median => _sorted.Length % 2 == 1 ? _sorted[_sorted.Length / 2] : (_sorted[_sorted.Length / 2 - 1] + _sorted[_sorted.Length / 2]) / 2;

    /// <summary>
    /// Divides round by round, since what drifts (other loads, heat) is alike within a round but not between rounds.
    /// </summary>
    public static Sample Ratio(IReadOnlyList<double> numerators, IReadOnlyList<double> denominators)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(numerators.Count, denominators.Count);
        return new Sample(numerators.Zip(denominators, (n, d) => n / d));
    }

    /// <summary>The n-th root of the product.</summary>
    public static double GeometricMean(IReadOnlyCollection<double> values) => Math.Exp(values.Average(Math.Log));
}
