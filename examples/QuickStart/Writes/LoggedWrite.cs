namespace QuickStart.Writes;

/// <summary>What a write did to one row.</summary>
/// <param name="Table">The row's table.</param>
/// <param name="Key">The row's key, as text.</param>
/// <param name="Content">
/// By which it is found again. Accounts: what was added to the balance. Documents: the tag; null for the document's insert. Others:
/// the text in column <c>edit</c>, different for every write; null for a delete.
/// </param>
internal sealed record RowWrite(BankTable Table, string Key, string? Content);

/// <summary>The bank's tables, by how their concurrent writes come together.</summary>
internal enum BankTable
{
    /// <summary>Deltas add up.</summary>
    Accounts,

    /// <summary>The last update wins.</summary>
    Profiles,

    /// <summary>Tags are united.</summary>
    Documents,

    /// <summary>The last update (or delete) wins.</summary>
    Messages,
}

/// <summary>What is known of a transaction's commit.</summary>
internal enum WriteOutcome
{
    /// <summary>The connection broke while it was committing; the database is asked in the end.</summary>
    Unknown,

    /// <summary>The database said that it is committed.</summary>
    Acknowledged,

    /// <summary>It was rolled back.</summary>
    RolledBack,
}

/// <summary>One transaction of the bank on one node.</summary>
internal sealed class LoggedWrite(int node, ulong xid, IReadOnlyList<RowWrite> rows)
{
    public int Node { get; } = node;

    /// <summary>Its 64-bit transaction id on that node.</summary>
    public ulong Xid { get; } = xid;

    public IReadOnlyList<RowWrite> Rows { get; } = rows;

    public WriteOutcome Outcome { get; set; } = WriteOutcome.Unknown;

    /// <summary>Its commit timestamp; looked up in the end.</summary>
    public DateTime Stamp { get; set; }
}
