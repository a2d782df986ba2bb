using System.Globalization;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>A cluster on which histories are run.</summary>
internal interface ITwin
{
    /// <summary>Runs a transaction and names it by the version that it gave its rows; tells of each statement whether it found what it wanted.</summary>
    Task<IReadOnlyList<bool>> WriteAsync(TwinWrite write, TwinVersions versions);

    Task HandOverAsync(TwinHandOver handOver);

    /// <summary>A node's rows, sorted, each with the table's name before it.</summary>
    Task<IReadOnlyList<string>> ReadRowsAsync(int node);

    /// <summary>The conflicts that a node has recorded in this history, oldest first.</summary>
    Task<IReadOnlyList<ConflictRecord>> ReadConflictsAsync(int node);
}

/// <summary>Which transaction a version is of: stamps differ from run to run, writers do not.</summary>
internal sealed class TwinVersions
{
    private readonly Dictionary<(string Origin, CommitTimestamp Stamp), string> _writers = [];

    public void Add(int node, CommitTimestamp stamp, string writer) => _writers.Add((TwinHistory.NameOf(node), stamp), writer);

    public string NameOf(RowVersion? version) => version is not { } known ? "nothing" : _writers.GetValueOrDefault((known.Origin.Value, known.Stamp), $"an unknown version of {known.Origin}");
}

/// <summary>All that can be seen of a history's run, in lines that are equal for equal runs.</summary>
internal static class TwinOutcome
{
    public static async Task<IReadOnlyList<string>> RunAsync(TwinHistory history, ITwin twin)
    {
        var lines = new List<string>();
        var versions = new TwinVersions();
        foreach (var step in history.Steps)
        {
            lines.Add(step.ToString());
            if (step is TwinWrite write)
            {
                lines.Add($"  found {string.Join(", ", await twin.WriteAsync(write, versions))}");
            }
            else if (step is TwinHandOver handOver)
            {
                await twin.HandOverAsync(handOver);
                foreach (var row in await twin.ReadRowsAsync(handOver.To)) lines.Add($"  {TwinHistory.NameOf(handOver.To)} has {row}");
            }
        }

        for (var node = 0; node < TwinHistory.Nodes; node++)
        {
            foreach (var record in await twin.ReadConflictsAsync(node)) lines.Add($"{TwinHistory.NameOf(node)} recorded {Describe(record, versions)}");
        }

        return lines;
    }

    /// <summary>Where two runs differ; null where they do not.</summary>
    public static string? Compare(IReadOnlyList<string> memory, IReadOnlyList<string> servers)
    {
        for (var i = 0; i < Math.Max(memory.Count, servers.Count); i++)
        {
            var (left, right) = (memory.ElementAtOrDefault(i) ?? "nothing more", servers.ElementAtOrDefault(i) ?? "nothing more");
            if (left != right) return $"in memory: {left}\non servers: {right}\nafter\n{string.Join('\n', memory.Take(i))}";
        }

        return null;
    }

    public static string RowText(string table, IEnumerable<string?> values) => $"{table}: {string.Join(", ", values.Select(v => v is null ? "NULL" : Shorten(v)))}";

    public static string Shorten(string text) => text.Length <= 100 ? text : string.Create(CultureInfo.InvariantCulture, $"{text[..text.IndexOf('/', StringComparison.Ordinal)]}/… ({text.Length} characters)");

    private static string Describe(ConflictRecord record, TwinVersions versions) =>
        $"{record.Type} of {record.Table.Name} {string.Join(',', record.Key)}: {record.Outcome}, {record.Winner} wins by {record.Resolver}; local {RowText(versions.NameOf(record.LocalVersion), record.LocalRow)}; "
        + $"remote {RowText(versions.NameOf(record.RemoteVersion), record.RemoteRow)}; {record.Reason}";

    // By name: the history keeps rows as jsonb, which does not keep the columns' order.
    private static string RowText(string writer, Row? row) => row is null ? $"{writer} (no row)" : RowText(writer, row.OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => $"{v.Key}={(v.Value is null ? "NULL" : Shorten(v.Value))}"));
}
