using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>
/// Which write a visible row shows: PostgreSQL keeps stamp and origin of a transaction, but not its place in the log, by which coverage
/// is decided (convergence R1), nor the stamp by which it goes where the clock was wrong (R4). Filled by capture in log order, for local and
/// foreign transactions; rebuilt by reading again from the checkpoint, and cut there: what lies before a checkpoint is stable.
/// </summary>
internal sealed class TransactionIndex
{
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, Entry> _byXid = [];

    // A row written under a savepoint shows the subtransaction's xid, which the log does not tell; its stamp is the transaction's. Transactions that committed at the same
    // moment can show one stamp.
    private readonly Dictionary<(NodeName Origin, CommitTimestamp Stamp), Entry> _byStamp = [];
    private readonly Queue<Entry> _order = new();
    private readonly Dictionary<NodeName, Entry> _lastOf = [];
    private LogMarker _marker;

    /// <summary>The latest marker that capture has passed.</summary>
    public LogMarker PassedMarker
    {
        get
        {
            lock (_lock) return _marker;
        }
    }

    /// <summary>Every local transaction with an earlier id (modulo 2^32) is stable, or changed nothing; 0 while no marker has been passed.</summary>
    public uint StableHorizon
    {
        get
        {
            lock (_lock)
            {
                var horizon = _marker.Horizon;
                if (horizon == 0) return 0;
                foreach (var entry in _order)
                {
                    if ((int)(entry.Xid - horizon) < 0) horizon = entry.Xid;
                }

                return horizon;
            }
        }
    }

    public int Count
    {
        get
        {
            lock (_lock) return _order.Count;
        }
    }

    /// <param name="xid">The local transaction id.</param>
    /// <param name="localPosition">Its commit record in the local log.</param>
    /// <param name="shownStamp">The stamp that its rows show.</param>
    /// <param name="version">Its origin, true stamp and place in its origin's log.</param>
    /// <param name="grouped">Which rows it wrote for earlier transactions of the origin; null where it applied one.</param>
    /// <param name="written">Which rows it wrote; null where no transaction before it shows the stamp.</param>
    public void Add(uint xid, NpgsqlLogSequenceNumber localPosition, CommitTimestamp shownStamp, in RowVersion version, GroupedVersions? grouped = null, WrittenRows? written = null)
    {
        lock (_lock)
        {
            var entry = new Entry(xid, localPosition, shownStamp, version, grouped, written) { Earlier = _byStamp.GetValueOrDefault((version.Origin, shownStamp)) };
            _byXid[xid] = entry;
            _byStamp[(version.Origin, shownStamp)] = entry;
            _order.Enqueue(entry);
            if (_lastOf.TryGetValue(version.Origin, out var last)) entry.Follow(last);
            _lastOf[version.Origin] = entry;
        }
    }

    /// <summary>Notes that capture has passed a marker.</summary>
    public void Pass(in LogMarker marker)
    {
        lock (_lock)
        {
            if (marker.Position > _marker.Position) _marker = marker;
        }
    }

    /// <summary>The place of a transaction's commit record in the local log, where the index holds it by its id.</summary>
    public bool TryGetLocalPosition(uint xid, out NpgsqlLogSequenceNumber position)
    {
        lock (_lock)
        {
            var isHeld = _byXid.TryGetValue(xid, out var entry);
            position = entry?.LocalPosition ?? default;
            return isHeld;
        }
    }

    /// <summary>Whether the index holds a transaction that was committed here, by its place in the log.</summary>
    public bool HasLocal(NodeName self, NpgsqlLogSequenceNumber position)
    {
        lock (_lock) return _order.Any(e => e.LocalPosition == position && e.Version.Origin == self);
    }

    /// <summary>Per origin, the last of its transactions that the index holds and that were committed here before a place.</summary>
    public IReadOnlyDictionary<NodeName, NpgsqlLogSequenceNumber> AppliedBefore(NpgsqlLogSequenceNumber localPosition)
    {
        lock (_lock)
        {
            var applied = new Dictionary<NodeName, NpgsqlLogSequenceNumber>();
            foreach (var entry in _order)
            {
                if (entry.LocalPosition < localPosition && entry.Version.Position > applied.GetValueOrDefault(entry.Version.Origin)) applied[entry.Version.Origin] = entry.Version.Position;
            }

            return applied;
        }
    }

    /// <summary>The first id (modulo 2^32) of the transactions that it holds; 0 where it holds none.</summary>
    public uint OldestXid
    {
        get
        {
            lock (_lock) return ShownVersion.OldestOf(_order.Select(static e => e.Shown));
        }
    }

    /// <summary>The place in the local log of the first of some transactions that the index holds; beyond every place where it holds none.</summary>
    public NpgsqlLogSequenceNumber FirstOf(IReadOnlyList<uint> xids)
    {
        lock (_lock)
        {
            var first = new NpgsqlLogSequenceNumber(ulong.MaxValue);
            foreach (var xid in xids)
            {
                if (_byXid.TryGetValue(xid, out var entry) && entry.LocalPosition < first) first = entry.LocalPosition;
            }

            return first;
        }
    }

    /// <summary>The true version of a row whose transaction capture has passed; false where it is stable.</summary>
    /// <param name="key">The row's key.</param>
    /// <param name="xid">The row's xmin.</param>
    /// <param name="origin">The origin that it shows.</param>
    /// <param name="shownStamp">The stamp that it shows.</param>
    /// <param name="version">Its true version.</param>
    public bool TryGetVersion(RowKey key, uint xid, NodeName origin, CommitTimestamp shownStamp, out RowVersion version)
    {
        lock (_lock)
        {
            if (_byXid.TryGetValue(xid, out var held))
            {
                version = held.VersionOf(key);
                return true;
            }

            // Its subtransaction's, or that of a stable one. Where several show the stamp, the row is that of the last one that wrote it. A subtransaction's xid comes after
            // its transaction's.
            var entry = _byStamp.GetValueOrDefault((origin, shownStamp))?.Chain().FirstOrDefault(e => (int)(xid - e.Xid) > 0 && e.MayHaveWritten(key));
            version = entry?.VersionOf(key) ?? default;
            return entry is not null;
        }
    }

    /// <summary>Whether a row that has lost its stamp may be of a transaction that the index holds: written under a savepoint.</summary>
    public bool MayHold(uint xid)
    {
        lock (_lock) return _order.Any(e => (int)(xid - e.Xid) > 0);
    }

    /// <summary>
    /// What the rows show that a writer had not seen; those of its own origin it had. A row may show the same and have been seen: stamps are not
    /// unique within an origin.
    /// </summary>
    public IReadOnlyCollection<ShownVersion> FindUnseen(NodeName writer, DependencyVector seen)
    {
        lock (_lock)
        {
            return _order.Where(e => e.Version.Origin != writer && !seen.Covers(e.Version.Origin, e.Version.Position)).Select(static e => e.Shown).ToList();
        }
    }

    /// <summary>
    /// What rows show of transactions which a writer had not seen; null where they are more than <paramref name="most"/>, or where what it
    /// had seen has gaps.
    /// </summary>
    public IReadOnlyList<ShownVersion>? FindFewUnseen(NodeName writer, DependencyVector seen, int most)
    {
        if (seen.Gaps.Count > 0) return null;
        lock (_lock)
        {
            var unseen = new List<ShownVersion>();
            foreach (var (origin, last) in _lastOf)
            {
                if (origin == writer) continue;
                for (var entry = last; entry is not null; entry = entry.Before)
                {
                    if (seen.Covers(origin, entry.Version.Position))
                    {
                        // All that stand before it are covered, too, unless it came late, out of quarantine.
                        if (!entry.IsLate || Safeguards.IsOff(Safeguard.LateTransactions)) break;
                        continue;
                    }

                    if (unseen.Count == most) return null;
                    unseen.Add(entry.Shown);
                }
            }

            return unseen;
        }
    }

    /// <summary>Forgets what lies before a checkpoint.</summary>
    public void CutBefore(NpgsqlLogSequenceNumber localPosition)
    {
        lock (_lock)
        {
            while (_order.TryPeek(out var first) && first.LocalPosition < localPosition)
            {
                _order.Dequeue();
                first.Unlink();
                if (ReferenceEquals(_lastOf.GetValueOrDefault(first.Version.Origin), first)) _lastOf.Remove(first.Version.Origin);
                _byXid.Remove(first.Xid);
                var stamp = (first.Version.Origin, first.ShownStamp);
                if (ReferenceEquals(_byStamp.GetValueOrDefault(stamp), first)) _byStamp.Remove(stamp);
                else _byStamp.GetValueOrDefault(stamp)?.Cut(first);
            }
        }
    }

    private sealed class Entry(uint xid, NpgsqlLogSequenceNumber localPosition, CommitTimestamp shownStamp, RowVersion version, GroupedVersions? grouped, WrittenRows? written)
    {
        public uint Xid => xid;

        public NpgsqlLogSequenceNumber LocalPosition => localPosition;

        public CommitTimestamp ShownStamp => shownStamp;

        public RowVersion Version => version;

        public ShownVersion Shown => new(shownStamp, version.Origin, xid);

        public RowVersion VersionOf(RowKey key) => grouped is not null && grouped.TryGet(key, out var earlier) && !Safeguards.IsOff(Safeguard.GroupedVersions) ? earlier : version;

        public bool MayHaveWritten(RowKey key) => written is null || written.Contains(key) || Safeguards.IsOff(Safeguard.TiedStamps);

        private Entry? _after;

        // The greatest position of its origin so far.
        private NpgsqlLogSequenceNumber _last = version.Position;

        /// <summary>The transaction before it of the same origin.</summary>
        public Entry? Before { get; private set; }

        /// <summary>Whether a later transaction of the same origin was applied before it, while it was in quarantine.</summary>
        public bool IsLate => _last > version.Position;

        public void Follow(Entry before)
        {
            Before = before;
            if (before._last > _last) _last = before._last;
            before._after = this;
        }

        /// <summary>Takes the oldest one off.</summary>
        public void Unlink()
        {
            if (_after is not null) _after.Before = null;
        }

        /// <summary>The transaction before it that shows the same stamp; nearly always none.</summary>
        public Entry? Earlier { get; set; }

        public IEnumerable<Entry> Chain()
        {
            for (var entry = this; entry is not null; entry = entry.Earlier) yield return entry;
        }

        /// <summary>Takes the oldest one off the chain.</summary>
        public void Cut(Entry oldest)
        {
            var entry = this;
            while (entry.Earlier is { } earlier && !ReferenceEquals(earlier, oldest)) entry = earlier;
            entry.Earlier = null;
        }
    }
}

/// <summary>What PostgreSQL tells of a row's writer: its xmin, and the stamp and origin of that. A row under a savepoint shows a later xmin, and one may have lost its stamp.</summary>
internal readonly record struct ShownVersion(CommitTimestamp Stamp, NodeName Origin, uint Xid = 0)
{
    /// <summary>The earliest of some ids (modulo 2^32); 0 for none.</summary>
    public static uint OldestOf(IEnumerable<ShownVersion> versions) => versions.Select(static v => v.Xid).DefaultIfEmpty().Aggregate(static (oldest, xid) => (int)(xid - oldest) < 0 ? xid : oldest);
}
