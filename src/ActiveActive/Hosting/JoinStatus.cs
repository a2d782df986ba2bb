namespace ActiveActive;

/// <summary>How far a node that joins is with the copy of its data.</summary>
public sealed record JoinStatus
{
    /// <summary>The node that the data comes from.</summary>
    public required NodeName Donor { get; init; }

    /// <summary>How many tables there are to copy.</summary>
    public int Tables { get; init; }

    /// <summary>How many of them are there.</summary>
    public int CopiedTables { get; init; }

    /// <summary>The rows of the tables that are there.</summary>
    public long Rows { get; init; }

    /// <summary>About how many rows there are in all; the donor's statistics.</summary>
    public long EstimatedRows { get; init; }

    /// <summary>How many bytes have come, as text.</summary>
    public long Bytes { get; init; }

    /// <summary>How large the tables are on the donor's disk; the text of their rows may be shorter or longer.</summary>
    public long EstimatedBytes { get; init; }

    /// <summary>Since the copy began.</summary>
    public TimeSpan Elapsed { get; init; }
}
