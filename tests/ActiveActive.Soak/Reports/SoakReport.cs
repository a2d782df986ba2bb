using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using ActiveActive.Soak.Checks;
using ActiveActive.Soak.Faults;
using ActiveActive.Soak.Load;

namespace ActiveActive.Soak.Reports;

/// <summary>What a run has shown.</summary>
internal sealed class SoakReport(SoakOptions options, WriteCount writes)
{
    private readonly List<(TimeSpan At, double[] Megabytes)> _memory = [];
    private readonly List<(TimeSpan At, long Transactions, TimeSpan Converged)> _checks = [];
    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;

    public IReadOnlyDictionary<FaultKind, int> Faults { get; set; } = new Dictionary<FaultKind, int>();

    public string Servers { get; set; } = "";

    public long Conflicts { get; set; }

    public TimeSpan Elapsed { get; set; }

    public List<Finding> Findings { get; } = [];

    /// <summary>What ended the run before its time, and hosts that ended by themselves.</summary>
    public List<string> Failures { get; } = [];

    public bool IsInterrupted { get; set; }

    public bool IsGood => Findings.Count == 0 && Failures.Count == 0 && _checks.Count > 0;

    /// <summary>The last line.</summary>
    public string Verdict => string.Create(CultureInfo.InvariantCulture,
        $"{(IsGood ? "good" : "FAILED")}: seed={options.Seed} minutes={Elapsed.TotalMinutes:0.0} faults={Faults.Values.Sum()} transactions={writes.Total} conflicts={Conflicts} lost={Findings.Count(f => f.IsLost)} divergent={Findings.Count(f => !f.IsLost)} checks={_checks.Count} longest_converge_s={Longest:0.0} failures={Failures.Count}{(IsInterrupted ? " interrupted" : "")}");

    private double Longest => _checks.Count == 0 ? 0 : _checks.Max(c => c.Converged.TotalSeconds);

    public void AddMemory(TimeSpan at, IEnumerable<long?> bytes) => _memory.Add((at, [.. bytes.Select(b => (b ?? 0) / 1e6)]));

    public void AddCheck(TimeSpan at, long transactions, TimeSpan converged) => _checks.Add((at, transactions, converged));

    public string ToMarkdown(IReadOnlyList<string> nodes)
    {
        var text = new StringBuilder();
        text.AppendLine("# Soak").AppendLine().AppendLine(CultureInfo.InvariantCulture,
            $"{_started:yyyy-MM-dd HH:mm} UTC, {RuntimeInformation.OSDescription}, {Environment.ProcessorCount} cores, {RuntimeInformation.FrameworkDescription}. {Servers}.").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"""
            ```
            dotnet run --project tests/ActiveActive.Soak -c Release -- --minutes {options.Duration.TotalMinutes:0.#} --seed {options.Seed} --every {options.Every.TotalSeconds:0.#} --check {options.CheckEvery.TotalSeconds:0.#} --rate {options.Rate}
            {Verdict}
            ```

            | | |
            |---|---|
            | lost | {Findings.Count(f => f.IsLost)} |
            | divergent | {Findings.Count(f => !f.IsLost)} |
            | transactions acknowledged | {writes.Total:N0} |
            | rolled back by the servers (deadlock, duplicate key) | {writes.RolledBack:N0} |
            | not answered before the commit / at the commit (a server was down) | {writes.UnansweredTotal:N0} / {writes.Unknowns:N0} |
            | conflicts recorded, over all nodes | {Conflicts:N0} |
            | faults | {Faults.Values.Sum()} |
            | comparisons of all nodes | {_checks.Count} |
            | longest time from healing to equal rows | {Longest:0.0} s |

            """);
        foreach (var line in Failures) text.AppendLine(CultureInfo.InvariantCulture, $"- failure: {line}");
        foreach (var finding in Findings.Take(50)) text.AppendLine(CultureInfo.InvariantCulture, $"- {(finding.IsLost ? "lost" : "divergent")}: {finding.Text}");
        text.AppendLine("| fault | times |\n|---|---|");
        foreach (var (kind, times) in Faults.OrderBy(f => f.Key)) text.AppendLine(CultureInfo.InvariantCulture, $"| {kind} | {times} |");
        text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"Resident memory of the hosts in MB, the greatest of each tenth of the run (0: it was down):").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"| minute | {string.Join(" | ", nodes)} |\n|---|{string.Concat(nodes.Select(_ => "---|"))}");
        foreach (var tenth in _memory.Chunk(Math.Max(1, (_memory.Count + 9) / 10)))
            text.AppendLine(CultureInfo.InvariantCulture, $"| {tenth[^1].At.TotalMinutes:0.0} | {string.Join(" | ", nodes.Select((_, i) => tenth.Max(m => m.Megabytes[i]).ToString("0", CultureInfo.InvariantCulture)))} |");
        text.AppendLine().AppendLine("| comparison at minute | transactions so far | seconds to equal rows |\n|---|---|---|");
        foreach (var (at, transactions, converged) in _checks) text.AppendLine(CultureInfo.InvariantCulture, $"| {at.TotalMinutes:0.0} | {transactions:N0} | {converged.TotalSeconds:0.0} |");
        return text.ToString();
    }
}
