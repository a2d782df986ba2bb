using System.Globalization;

namespace ActiveActive.Benchmarks.Reports;

/// <summary>One case: its name, the keys of its line, and what was measured in each round.</summary>
internal sealed class CaseResult(string name)
{
    private readonly List<KeyValuePair<string, string>> _pairs = [];

    public string Name => name;

    public IReadOnlyList<KeyValuePair<string, string>> Pairs => _pairs;

    /// <summary>Every round's figures, for the JSON.</summary>
    public Dictionary<string, IReadOnlyList<double>> Rounds { get; } = [];

    /// <summary>Why the figures don't count; null if they do.</summary>
    public string? Void { get; init; }

    public CaseResult With(string key, double value)
    {
        _pairs.Add(new(key, value.ToString(Math.Abs(value) >= 100 ? "0" : "0.###", CultureInfo.InvariantCulture)));
        return this;
    }

    /// <summary>The median, then the least and the greatest, where there was more than one round.</summary>
    public CaseResult With(string key, Sample sample)
    {
        With(key, sample.Median);
        if (sample.Count == 1) return this;
        return With($"{key}_min", sample.Min).With($"{key}_max", sample.Max);
    }

    public CaseResult Round(string key, IReadOnlyList<double> values)
    {
        Rounds[key] = values;
        return this;
    }

    public override string ToString() => Void is { } reason
        ? $"{name} void=\"{reason.ReplaceLineEndings(" ")}\""
        : $"{name} {string.Join(' ', _pairs.Select(p => $"{p.Key}={p.Value}"))}";
}
