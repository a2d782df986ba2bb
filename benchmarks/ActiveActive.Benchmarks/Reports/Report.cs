using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace ActiveActive.Benchmarks.Reports;

/// <summary>Shows progress, keeps the results, and writes them at the end.</summary>
internal sealed class Report(BenchmarkOptions options)
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly List<CaseResult> _results = [];
    private readonly Machine _machine = Machine.Read();
    private readonly List<string> _conditions = [];
    private string? _failure;

    public IReadOnlyList<CaseResult> Results => _results;

    public void Begin(string conditions)
    {
        _conditions.Add(conditions);
        Console.WriteLine($"{_machine}\n{conditions}");
        if (options.Quick) Console.WriteLine("Quick: loads this small show that it works, and say little of speed.");
    }

    public void Say(string text) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{_watch.Elapsed.TotalSeconds,6:0.0} s] {text}"));

    public void Add(CaseResult result)
    {
        _results.Add(result);
        Say(result.ToString());
    }

    public void Fail(string message) => _failure = message;

    /// <summary>Writes the files and the last lines; the exit code.</summary>
    public async Task<int> FinishAsync()
    {
        if (options.Output is { } folder)
        {
            Directory.CreateDirectory(folder);
            await File.WriteAllTextAsync(Path.Combine(folder, $"{options.Verb}.json"), Json());
            await File.WriteAllTextAsync(Path.Combine(folder, $"{options.Verb}.md"), Markdown());
        }

        if (_failure is not null) await Console.Error.WriteLineAsync($"FAILED: {_failure}");
        Console.WriteLine();
        foreach (var result in _results) Console.WriteLine(result);
        return _failure is null && _results.Count > 0 && _results.TrueForAll(r => r.Void is null) ? 0 : 1;
    }

    private string Json() => JsonSerializer.Serialize(
        new
        {
            options.Verb,
            options.Quick,
            options.Rounds,
            options.Scale,
            options.Seconds,
            Measured = DateTimeOffset.UtcNow,
            Machine = _machine,
            Conditions = _conditions,
            Failure = _failure,
            Cases = _results.Select(r => new { r.Name, Values = r.Pairs.ToDictionary(p => p.Key, p => p.Value), r.Rounds, r.Void }),
        },
        s_json);

    private string Markdown()
    {
        // Cases of one verb may have different keys: a column for each that any of them has.
        List<string> keys = [.. _results.SelectMany(r => r.Pairs.Select(p => p.Key)).Distinct()];
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{_machine}  \n{string.Join("  \n", _conditions)}\n\n| case | {string.Join(" | ", keys)} |\n|---|{string.Concat(keys.Select(_ => "---|"))}\n");
        foreach (var result in _results)
        {
            var values = result.Pairs.ToDictionary(p => p.Key, p => p.Value);
            text.Append(CultureInfo.InvariantCulture, $"| {result.Name}{(result.Void is null ? "" : " (void)")} | {string.Join(" | ", keys.Select(k => values.GetValueOrDefault(k, "–")))} |\n");
        }

        return text.ToString();
    }
}
