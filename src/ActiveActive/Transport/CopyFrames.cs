using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Transport;

/// <summary>Answer to a hello that asks to join: who the members are as this node knows them, the dialler among them.</summary>
internal sealed record MembersFrame(IReadOnlyList<Member> Members) : Frame;

/// <summary>Dialler → donor: hold a snapshot for me, or let me read from the one that you hold.</summary>
/// <param name="Id">Which; empty for a new one.</param>
internal sealed record SnapshotRequestFrame(Guid Id) : Frame;

/// <summary>Donor → dialler: what the snapshot holds.</summary>
/// <param name="Id">By which other connections name it. It lasts as long as the connection that asked for it.</param>
/// <param name="Copied">Per origin, the last transaction in it.</param>
/// <param name="GreatestStamp">No stamp in it is greater.</param>
/// <param name="Tables">The tables, the largest first.</param>
internal sealed record SnapshotFrame(Guid Id, DependencyVector Copied, CommitTimestamp GreatestStamp, IReadOnlyList<TableToCopy> Tables) : Frame;

/// <summary>A table of a <see cref="SnapshotFrame"/>.</summary>
/// <param name="Relation">Its name, and its columns in the order in which rows come.</param>
/// <param name="Rows">About how many rows.</param>
/// <param name="Bytes">Its size on disk.</param>
internal sealed record TableToCopy(Relation Relation, long Rows, long Bytes);

/// <summary>Dialler → donor: send me this table. Rows, then keys follow, then its end.</summary>
internal sealed record CopyRequestFrame(TableName Table) : Frame;

/// <summary>Donor → dialler: some of the rows, in the text form of COPY, cut anywhere.</summary>
internal sealed record CopiedRowsFrame(ReadOnlyMemory<byte> Rows) : Frame;

/// <summary>Donor → dialler: what the rows do not tell of some keys.</summary>
internal sealed record CopiedKeysFrame(IReadOnlyList<CopiedKey> Keys) : Frame;

/// <summary>Donor → dialler: that was all of the table.</summary>
internal sealed record CopiedTableFrame : Frame;

/// <summary>What a copied row does not tell of its key, or of a key without a row.</summary>
/// <param name="Key">The key by column names; empty for the whole table.</param>
internal sealed record CopiedKey(Row Key)
{
    /// <summary>Which write the row is, where somebody may not have seen that.</summary>
    public RowVersion? Version { get; init; }

    /// <summary>Whether that is never forgotten.</summary>
    public bool IsKept { get; init; }

    /// <summary>The concurrent versions that the row was folded from, or the missing row; null rows for deletes.</summary>
    public IReadOnlyList<CopiedVersion> Siblings { get; init; } = [];

    /// <summary>A row that lost a unique value.</summary>
    public CopiedVersion? Loser { get; init; }

    /// <summary>The key of the row that had the value.</summary>
    public Row? Winner { get; init; }

    /// <summary>The latest delete of the key, or of the table's rows.</summary>
    public RowVersion? Tombstone { get; init; }
}

/// <summary>A version of a row that is out of sight.</summary>
internal sealed record CopiedVersion(RowVersion Version, Row? Row);
