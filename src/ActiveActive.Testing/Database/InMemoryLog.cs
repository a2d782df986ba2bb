using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>What the server knows of a transaction: its xid and, once committed, stamp, origin and position.</summary>
internal sealed class InMemoryCommit(uint xid, NodeName origin)
{
    public uint Xid { get; } = xid;

    /// <summary>The node whose transaction it is; the local node for one that was committed here.</summary>
    public NodeName Origin { get; } = origin;

    /// <summary>Unknown until committed.</summary>
    public CommitTimestamp Stamp { get; set; } = CommitTimestamp.Unknown;

    /// <summary>The start of the commit record in the local log.</summary>
    public NpgsqlLogSequenceNumber Position { get; set; }
}

/// <summary>One committed transaction in the log.</summary>
internal sealed class InMemoryLogEntry
{
    public required InMemoryCommit Commit { get; init; }

    /// <summary>Default for a local transaction.</summary>
    public NodeName ForeignOrigin { get; init; }

    public NpgsqlLogSequenceNumber ForeignPosition { get; init; }

    /// <summary>Of a commit that applied several: whose the rows are.</summary>
    public GroupedVersions? Grouped { get; init; }

    /// <summary>Whether the foreign transaction was put aside, and not applied.</summary>
    public bool IsQuarantined { get; init; }

    /// <summary>Of a marker: what local transactions behind it are later than.</summary>
    public CommitTimestamp Floor { get; init; } = CommitTimestamp.Unknown;

    /// <summary>Empty for a marker and for a foreign transaction: capture does not read those.</summary>
    public Change[] Changes { get; init; } = [];

    /// <summary>A foreign transaction as it was received, part by part.</summary>
    public IReadOnlyList<ChangeTransaction> Received { get; init; } = [];

    /// <summary>Where the commit record ends.</summary>
    public NpgsqlLogSequenceNumber End { get; set; }

    /// <summary>How to take it back if a crash loses it; null once it is durable.</summary>
    public InMemoryUndo? Undo { get; set; }
}

/// <summary>
/// The write-ahead log: committed transactions in commit order. What lies before <see cref="DurableEnd"/> survives a crash, and only
/// that is shown to readers, as a walsender sends only what is flushed. Used under the database's gate only.
/// </summary>
internal sealed class InMemoryLog
{
    private const ulong FirstPosition = 0x0100_0000;
    private const ulong RecordBytes = 48;
    private const int MinTrim = 512;

    private readonly List<InMemoryLogEntry> _entries = [];
    private long _firstIndex;

    public NpgsqlLogSequenceNumber End { get; private set; } = new(FirstPosition);

    public NpgsqlLogSequenceNumber DurableEnd { get; private set; } = new(FirstPosition);

    /// <summary>The number of entries before <see cref="DurableEnd"/>, recycled ones included.</summary>
    public long DurableCount { get; private set; }

    /// <summary>A reader may not start before it.</summary>
    public NpgsqlLogSequenceNumber ConfirmedPosition { get; private set; } = new(FirstPosition);

    public bool HasUnflushed => DurableEnd != End;

    public InMemoryLogEntry this[long index] => _entries[(int)(index - _firstIndex)];

    /// <summary>Writes the transaction's changes and its commit record; the commit record's start becomes its position.</summary>
    public void Append(InMemoryLogEntry entry)
    {
        var start = (ulong)End + (RecordBytes * (ulong)entry.Changes.Length);
        entry.Commit.Position = new NpgsqlLogSequenceNumber(start);
        entry.End = End = new NpgsqlLogSequenceNumber(start + RecordBytes);
        _entries.Add(entry);
    }

    /// <summary>A transaction on the library's own tables: it takes room in the log and readers are not told of it.</summary>
    public void AppendUnpublished() => End = new NpgsqlLogSequenceNumber((ulong)End + RecordBytes);

    /// <summary>Makes everything durable. Returns whether readers have something to read.</summary>
    public bool Flush()
    {
        var count = _firstIndex + _entries.Count;
        DurableEnd = End;
        if (DurableCount == count) return false;
        for (var i = DurableCount; i < count; i++) this[i].Undo = null;
        DurableCount = count;
        return true;
    }

    /// <summary>Cuts off what was not flushed and takes it back, the last first. New records then reuse its positions, as in PostgreSQL.</summary>
    public void LoseUnflushed(InMemoryServer server)
    {
        for (var i = _firstIndex + _entries.Count - 1; i >= DurableCount; i--) this[i].Undo!.Apply(server);
        _entries.RemoveRange((int)(DurableCount - _firstIndex), _entries.Count - (int)(DurableCount - _firstIndex));
        End = DurableEnd;
    }

    /// <summary>The index of the first entry whose commit record lies at or after a position.</summary>
    public long IndexOf(NpgsqlLogSequenceNumber position)
    {
        var low = 0;
        var high = _entries.Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_entries[middle].Commit.Position < position) low = middle + 1;
            else high = middle;
        }

        return _firstIndex + low;
    }

    public void Confirm(NpgsqlLogSequenceNumber position)
    {
        if (position > ConfirmedPosition) ConfirmedPosition = position < DurableEnd ? position : DurableEnd;
    }

    /// <summary>Recycles entries before the confirmed position that no reader needs (<paramref name="floor"/>), many at a time.</summary>
    public void Recycle(long floor)
    {
        var count = (int)(Math.Min(floor, Math.Min(IndexOf(ConfirmedPosition), DurableCount)) - _firstIndex);
        if (count < MinTrim) return;
        _entries.RemoveRange(0, count);
        _firstIndex += count;
    }
}
