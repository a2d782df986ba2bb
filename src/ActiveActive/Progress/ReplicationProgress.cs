using System.Collections.Concurrent;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>
/// How far a node is: what it applied of each origin, how far its own log has been captured, and what each member's stream has
/// told of that member. Everything that waits for a position waits here.
/// </summary>
internal sealed class ReplicationProgress
{
    private readonly ConcurrentDictionary<NodeName, PositionGate> _applied = new();
    private readonly ConcurrentDictionary<NodeName, DependencyVector> _members = new();
    private readonly ConcurrentDictionary<(NodeName Origin, NpgsqlLogSequenceNumber Position), DependencyVector> _withheld = new();
    private readonly IReadOnlyList<NodeName> _peers;
    private readonly IReadOnlyCollection<NodeName> _parted;
    private readonly Action<NodeName>? _dependencyAwaited;

    /// <param name="self">This node.</param>
    /// <param name="peers">The others.</param>
    /// <param name="dependencyAwaited">Told of which origin a transaction waits that another one depends on; returns at once.</param>
    /// <param name="parted">Nodes that were members: nothing new comes from them, and what they have is not waited for.</param>
    public ReplicationProgress(NodeName self, IReadOnlyList<NodeName> peers, Action<NodeName>? dependencyAwaited = null, IReadOnlyCollection<NodeName>? parted = null)
    {
        Self = self;
        _parted = parted ?? [];
        _dependencyAwaited = dependencyAwaited;
        _peers = peers;
        foreach (var peer in peers) _applied[peer] = new PositionGate();
    }

    public NodeName Self { get; }

    /// <summary>The other members.</summary>
    public IReadOnlyList<NodeName> Peers => _peers;

    /// <summary>Everything committed here before this position has been captured: indexed, its deletes entered, published.</summary>
    public PositionGate Captured { get; } = new();

    /// <summary>Whether there is a third node, which may need what this one receives of another.</summary>
    public bool CanRelay => _peers.Count > 1;

    /// <summary>
    /// Whether the members give each other what they have of a node: of a peer, and of one that is parted as long as one of them has not all of it. Of nodes that the options do not name any more nobody asks.
    /// </summary>
    public bool IsShared(NodeName origin) => _applied.ContainsKey(origin) || _parted.Contains(origin);

    /// <summary>The last transaction of a peer that was committed here.</summary>
    public PositionGate AppliedOf(NodeName peer) => _applied[peer];

    /// <summary>The last transaction of each peer that was committed here, durable or not.</summary>
    public IReadOnlyList<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> Applied => [.. _applied.Select(static a => KeyValuePair.Create(a.Key, a.Value.Current))];

    /// <summary>
    /// Waits until everything that a transaction's writer had seen is applied here (M3). A node that is no peer of this one can't be
    /// waited for; this node's own transactions are here already.
    /// </summary>
    public async ValueTask WaitForDependenciesAsync(DependencyVector dependencies, CancellationToken cancellationToken)
    {
        foreach (var (origin, position) in dependencies)
        {
            if (!_applied.TryGetValue(origin, out var gate) || gate.Current >= position) continue;
            var waiting = gate.WaitAsync(position, cancellationToken);
            _dependencyAwaited?.Invoke(origin);
            await waiting;
        }
    }

    /// <summary>A dependency that is not met yet, for status; null where all are.</summary>
    public KeyValuePair<NodeName, NpgsqlLogSequenceNumber>? FirstUnmet(DependencyVector dependencies)
    {
        foreach (var (origin, position) in dependencies)
        {
            if (_applied.TryGetValue(origin, out var gate) && gate.Current < position) return new(origin, position);
        }

        return null;
    }

    /// <summary>
    /// Notes the vector that arrived in a member's own stream, once everything before it in that stream is applied here. Only such
    /// vectors make something stable; acknowledgements do not (convergence R1).
    /// </summary>
    public void NoteMember(NodeName member, DependencyVector vector) => _members[member] = vector;

    /// <summary>Whether a member is known, by its own stream, to have all that lies before a place in this node's log.</summary>
    public bool HasPassed(NodeName member, CaptureCheckpoint place)
    {
        if (!_members.TryGetValue(member, out var vector)) return place.LastPublished == default && place.Applied.Count == 0;
        return vector.CompleteUpTo(Self) >= place.LastPublished && place.Applied.All(a => a.Key == member || !IsShared(a.Key) || vector.CompleteUpTo(a.Key) >= a.Value);
    }

    /// <summary>The position of an origin that every other member was known to have applied, by their own streams.</summary>
    public NpgsqlLogSequenceNumber StablePositionOf(NodeName origin)
    {
        var stable = new NpgsqlLogSequenceNumber(ulong.MaxValue);
        if (Safeguards.IsOff(Safeguard.CollectWhenStable)) return stable;
        foreach (var member in _peers)
        {
            if (member == origin || (Safeguards.IsOff(Safeguard.KeepForTheUnheard) && !_members.ContainsKey(member))) continue;
            var position = _members.TryGetValue(member, out var vector) ? vector.CompleteUpTo(origin) : default;
            if (position < stable) stable = position;
        }

        foreach (var ((withheld, at), vector) in _withheld)
        {
            var position = withheld == origin ? new((ulong)at - 1) : vector.CompleteUpTo(origin);
            if (position < stable) stable = position;
        }

        return stable;
    }

    /// <summary>
    /// A transaction in quarantine is still on its way here: for what is stable it counts as a member that stands where its writer stood,
    /// until <see cref="Release"/>.
    /// </summary>
    public void Withhold(NodeName origin, NpgsqlLogSequenceNumber position, DependencyVector dependencies) => _withheld[(origin, position)] = dependencies;

    public void Release(NodeName origin, NpgsqlLogSequenceNumber position) => _withheld.TryRemove((origin, position), out _);

    /// <summary>
    /// Per origin (this node included), what may be collected here: what is stable and lies before the saved checkpoint. Reading again from
    /// there enters local deletes anew, and the greatest delete of a key must not fall back to one that another had replaced (convergence R2).
    /// </summary>
    public DependencyVector Stable(CaptureCheckpoint checkpoint)
    {
        var entries = new List<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>>();
        foreach (var origin in _peers.Append(Self).Concat(_parted))
        {
            var position = StablePositionOf(origin);
            var here = origin == Self ? checkpoint.LastPublished : checkpoint.Applied[origin];
            entries.Add(new(origin, position < here ? position : here));
        }

        return DependencyVector.Of(entries);
    }
}
