using ActiveActive.Capture;
using ActiveActive.Database;
using ActiveActive.Hosting;
using NpgsqlTypes;

namespace ActiveActive.Membership;

/// <summary>
/// How much log this node keeps for each member, how fast that grows, and which member it keeps too much for, or has not heard of for too long. Looked at with each heartbeat.
/// </summary>
internal sealed class WalBudget(ReplicationNodeOptions options, TimeProvider timeProvider)
{
    // A peer that is there is behind by whatever has just been written, and mostly catches up.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    // One that begins a new life is not there for a moment.
    private static readonly TimeSpan s_away = TimeSpan.FromSeconds(10);

    // The rate is that of some minutes: a budget is a matter of hours.
    private static readonly TimeSpan s_window = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private readonly Queue<(long At, NpgsqlLogSequenceNumber Captured)> _samples = new();
    private readonly Dictionary<NodeName, long> _heard = [];
    private readonly Dictionary<NodeName, long> _kept = [];
    private readonly Dictionary<NodeName, long> _inBudget = [];
    private double _bytesPerSecond;

    /// <summary>The log that is kept for a member, in bytes: what lies behind the last place that it is known to have passed.</summary>
    public long KeptFor(NodeName member)
    {
        lock (_lock) return _kept.GetValueOrDefault(member);
    }

    /// <summary>When a member's share reaches the budget, if the log grows as it did in the last minutes; null where there is no budget, nothing is kept for it, or nothing is written.</summary>
    public TimeSpan? TimeLeft(NodeName member)
    {
        lock (_lock)
        {
            var kept = _kept.GetValueOrDefault(member);
            if (options.WalBudget == 0 || _bytesPerSecond <= 0 || kept == 0) return null;
            var seconds = Math.Max(0, options.WalBudget - kept) / _bytesPerSecond;
            return seconds < TimeSpan.MaxValue.TotalSeconds / 2 ? TimeSpan.FromSeconds(seconds) : null;
        }
    }

    /// <summary>Looks, and returns which member is to be parted, and why; null for none.</summary>
    /// <param name="run">The node's present life.</param>
    /// <param name="isHeard">Whether a member is connected, either way.</param>
    public (NodeName Member, string Reason)? Look(NodeRun run, Func<NodeName, bool> isHeard)
    {
        lock (_lock)
        {
            var now = timeProvider.GetTimestamp();
            var captured = run.Capture.CapturedPosition;
            Sample(now, captured);
            (NodeName Member, string Reason, long Silent)? worst = null;
            foreach (var (member, state) in run.Members.Where(static m => m.IsKeptFor))
            {
                // One that joins is busy with its copy.
                if (state == MemberState.Joining || isHeard(member) || !_heard.ContainsKey(member)) _heard[member] = now;
                var kept = _kept[member] = (long)((ulong)captured - Math.Min((ulong)captured, (ulong)run.Capture.PassedBy(member)));
                var isOver = options.WalBudget > 0 && kept > options.WalBudget;
                if (!isOver || !_inBudget.ContainsKey(member)) _inBudget[member] = now;
                var silent = timeProvider.GetElapsedTime(_heard[member], now);
                var reason = isOver && (silent > s_away || timeProvider.GetElapsedTime(_inBudget[member], now) > s_patience) ? $"node '{run.Progress.Self}' kept {kept} bytes of WAL for it, more than its WalBudget of {options.WalBudget}"
                    : options.PartAfter > TimeSpan.Zero && silent > options.PartAfter ? $"node '{run.Progress.Self}' has not heard of it for {silent.TotalSeconds:0} s, longer than its PartAfter"
                    : null;
                // One at a time, first whoever is away longest: with that one gone, nothing may be kept for another.
                if (reason is not null && !(worst?.Silent >= silent.Ticks)) worst = (member, reason, silent.Ticks);
            }

            return worst is var (leaving, why, _) && IsMajority(run, leaving, isHeard) ? (leaving, why) : null;
        }
    }

    /// <summary>
    /// Where the network is cut, one side at most may go on without the other: more than half of the members, or the half with the first of them by name. Only those count that can be reached now.
    /// </summary>
    private static bool IsMajority(NodeRun run, NodeName leaving, Func<NodeName, bool> isHeard)
    {
        List<NodeName> all = [run.Progress.Self, .. run.Members.Select(static m => m.Name)];
        List<NodeName> here = [run.Progress.Self, .. run.Members.Where(m => m.State == MemberState.Joined && m.Name != leaving && isHeard(m.Name)).Select(static m => m.Name)];
        return here.Count * 2 > all.Count || (here.Count * 2 == all.Count && here.Contains(all.Min()));
    }

    private void Sample(long now, NpgsqlLogSequenceNumber captured)
    {
        // Another life may begin further back.
        if (_samples.TryPeek(out var first) && captured < first.Captured) _samples.Clear();
        _samples.Enqueue((now, captured));
        while (_samples.Count > 2 && timeProvider.GetElapsedTime(_samples.Peek().At, now) > s_window) _samples.Dequeue();
        first = _samples.Peek();
        var seconds = timeProvider.GetElapsedTime(first.At, now).TotalSeconds;
        _bytesPerSecond = seconds > 0 ? ((ulong)captured - (ulong)first.Captured) / seconds : 0;
    }
}
