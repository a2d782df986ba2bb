using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation;

internal enum TraceEvent
{
    Commit,
    Apply,
    Deliver,
    Fault,
    Conflict,
    Statement,
}

/// <summary>What happened, as a hash always and as lines where someone will read them.</summary>
internal sealed class Trace(bool keepsLines)
{
    private readonly List<(string Line, Acknowledged? About)> _lines = [];
    private EventLoop? _loop;

    public ulong Hash { get; private set; } = 14695981039346656037;

    public bool KeepsLines => keepsLines;

    public void Attach(EventLoop loop) => _loop = loop;

    public void Note(TraceEvent kind, int node, int origin, int index, Acknowledged? about)
    {
        Mix((ulong)kind);
        Mix((ulong)_loop!.Now);
        Mix(((ulong)node << 32) | ((ulong)origin << 16) | (uint)(index & 0xFFFF));
        if (!keepsLines) return;
        var letter = (char)('a' + node);
        var line = kind switch
        {
            TraceEvent.Commit => $"{letter} commits {about!.Name} @{about.RawStamp}{(about.Stamp is null || about.Stamp == about.RawStamp ? "" : $" as {about.Stamp}")}: {string.Join("; ", about.Effects)}   [had seen {string.Join(' ', about.Seen.Select((n, i) => $"{(char)('a' + i)}:{n}"))}{string.Concat(about.Unseen.Select(u => $" without {(char)('a' + u.Origin)}{u.Index}"))}]",
            TraceEvent.Apply => $"{letter} applies {about!.Name}",
            TraceEvent.Deliver => $"{letter} receives {(char)('a' + origin)}{index}",
            _ => $"{letter} {kind}",
        };
        _lines.Add(($"{_loop.Now,8} {line}", about));
    }

    /// <summary>A line of free text; <paramref name="text"/> is only asked for where lines are kept.</summary>
    public void Say(TraceEvent kind, int node, Func<string> text)
    {
        Mix((ulong)kind);
        Mix((ulong)_loop!.Now);
        Mix((ulong)node);
        if (keepsLines) _lines.Add(($"{_loop.Now,8} {(char)('a' + node)} {text()}", null));
    }

    /// <summary>All lines, or those about one key.</summary>
    public IEnumerable<string> Lines((int Table, string Key)? subject) =>
        from entry in _lines
        where subject is not { } about
            || (entry.About is { } transaction
                ? transaction.Effects.Any(e => e.Touches(about.Table, about.Key))
                : entry.Line.Contains($"{SimulatedTables.Names[about.Table]}/{about.Key} ", StringComparison.Ordinal) || entry.Line.Contains('!', StringComparison.Ordinal))
        select entry.Line;

    private void Mix(ulong value)
    {
        Hash = (Hash ^ value) * 1099511628211;
        Hash ^= Hash >> 29;
    }
}
