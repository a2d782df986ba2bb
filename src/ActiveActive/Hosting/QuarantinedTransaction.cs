using ActiveActive.Apply;
using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive;

/// <summary>A peer's transaction that could not be applied here and was put aside whole: an entry of <c>active_active.quarantine</c>.</summary>
public sealed record QuarantinedTransaction
{
    /// <summary><see cref="Code"/> of a transaction that was put aside only because it writes a row of one that was put aside before.</summary>
    public const string BehindAnotherCode = "AA4002";

    /// <summary><see cref="Code"/> where it was not PostgreSQL that refused.</summary>
    public const string RefusedCode = "AA4001";

    internal QuarantinedTransaction(int parts, DependencyVector dependencies, WrittenKeys keys)
    {
        Parts = parts;
        Dependencies = dependencies;
        Keys = keys;
    }

    /// <summary>The entry's number on this node, rising in the order in which they were put aside: the order in which they are retried.</summary>
    public long Id { get; init; }

    /// <summary>The node on which it was committed.</summary>
    public required NodeName Origin { get; init; }

    /// <summary>The start of its commit record in the origin's WAL.</summary>
    public required NpgsqlLogSequenceNumber Position { get; init; }

    /// <summary>The origin's commit timestamp, which its rows will show.</summary>
    public required CommitTimestamp Stamp { get; init; }

    /// <summary>How many row changes it has.</summary>
    public required long Changes { get; init; }

    /// <summary>The tables that it writes, by name; for partitions, their root.</summary>
    public IReadOnlyList<TableName> Tables => Keys.Tables;

    /// <summary>Why it could not be applied: PostgreSQL's SQLSTATE, or a code of docs/ERRORS.md.</summary>
    public required string Code { get; init; }

    /// <summary>The same in a sentence. It names tables and constraints and holds no row value.</summary>
    public required string Reason { get; init; }

    /// <summary>Whether it only waits for one that was put aside before; it is retried when that one has left the quarantine.</summary>
    public bool IsBehindAnother => Code == BehindAnotherCode;

    /// <summary>How often it was tried.</summary>
    public required int Attempts { get; init; }

    /// <summary>When it was tried first.</summary>
    public required DateTimeOffset FirstAttempt { get; init; }

    /// <summary>When it was tried last.</summary>
    public required DateTimeOffset LastAttempt { get; init; }

    internal int Parts { get; }

    /// <summary>What its writer had seen. Without gaps: each entry is where the first one lies.</summary>
    internal DependencyVector Dependencies { get; }

    internal WrittenKeys Keys { get; }
}
