using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>
/// What the apply workers of one life of a node must know of the quarantine: which rows wait for a transaction in it. An entry is made BEFORE
/// the commit that puts the transaction aside and goes AFTER the one that applies it; where the outcome of such a commit was lost,
/// <see cref="Load"/> tells it when the origin's session is held again.
/// </summary>
internal sealed class QuarantineRegister(ReplicationProgress progress)
{
    /// <summary>Each is a gap in the vector of every local transaction, and keeps WAL and tombstones on all nodes.</summary>
    /// <remarks>Well below what a frame can say: each peer's link looks at it for itself, and may add one more.</remarks>
    public const int Capacity = Transport.FrameLimits.MaxVectorGaps / 2;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, QuarantinedTransaction> _entries = [];

    public int Count
    {
        get
        {
            lock (_lock) return _entries.Count;
        }
    }

    /// <summary>Replaces the entries of an origin by what the database holds; without an origin, all.</summary>
    public void Load(IReadOnlyList<QuarantinedTransaction> stored, NodeName? origin = null)
    {
        lock (_lock)
        {
            foreach (var entry in _entries.Values.Where(e => origin is null || e.Origin == origin).ToList())
            {
                if (!stored.Any(s => s.Id == entry.Id)) Remove(entry);
            }

            foreach (var entry in stored) Add(entry);
        }
    }

    public void Add(QuarantinedTransaction entry)
    {
        lock (_lock)
        {
            // An attempt to put the same transaction aside that was rolled back had another number.
            foreach (var earlier in _entries.Values.Where(e => IsSame(e, entry)).ToList()) _entries.Remove(earlier.Id);
            _entries[entry.Id] = entry;
            progress.Withhold(entry.Origin, entry.Position, entry.Dependencies);
        }
    }

    public void Remove(QuarantinedTransaction entry)
    {
        lock (_lock)
        {
            _entries.Remove(entry.Id);
            progress.Release(entry.Origin, entry.Position);
        }
    }

    /// <summary>
    /// A transaction must not overtake one in quarantine that its writer had seen and that writes one of its rows: the rules of conflicts build
    /// on the order of what is known to each other (M3). What is concurrent may come in any order, and what writes other rows may go on.
    /// </summary>
    /// <param name="part">A part of the transaction.</param>
    /// <param name="own">The entry that is retried; only those before it count. Null for a transaction of the stream.</param>
    /// <exception cref="BehindQuarantineException">It would overtake one.</exception>
    public void RequireFree(ChangeTransaction part, QuarantinedTransaction? own)
    {
        lock (_lock)
        {
            if (_entries.Count == 0 || (own is not null && _entries.Count == 1) || Safeguards.IsOff(Safeguard.QuarantineOrder)) return;
            var keys = WrittenKeys.Of(part);
            if (InTheWayOf(keys, e => HasSeen(part, e), own?.Id) is not { } first) return;
            throw new BehindQuarantineException(
                $"It writes a row of {string.Join(", ", first.Tables)} that transaction {first.Origin} {first.Position} in quarantine (entry {first.Id}) writes, too, and comes after that one. "
                + "Retry or discard that one.");
        }
    }

    /// <summary>Whether nothing before an entry keeps it in quarantine.</summary>
    public bool IsFree(QuarantinedTransaction entry)
    {
        lock (_lock) return InTheWayOf(entry.Keys, e => e.Origin == entry.Origin || entry.Dependencies.Covers(e.Origin, e.Position), entry.Id) is null;
    }

    private QuarantinedTransaction? InTheWayOf(WrittenKeys keys, Func<QuarantinedTransaction, bool> hasSeen, long? before)
    {
        foreach (var (id, entry) in _entries)
        {
            if (id >= before) break;
            if (hasSeen(entry) && entry.Keys.Overlaps(keys)) return entry;
        }

        return null;
    }

    private static bool HasSeen(ChangeTransaction part, QuarantinedTransaction entry) =>
        (part.Origin == entry.Origin && part.Position > entry.Position) || part.Dependencies.Covers(entry.Origin, entry.Position);

    private static bool IsSame(QuarantinedTransaction left, QuarantinedTransaction right) => left.Origin == right.Origin && left.Position == right.Position;
}
