using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>A node of the cluster, as the database of one of its nodes knows it.</summary>
/// <param name="Name">The node.</param>
/// <param name="State">Where it stands.</param>
internal sealed record Member(NodeName Name, MemberState State)
{
    /// <summary>Why it is parted, for people; null where it is not.</summary>
    public string? Reason { get; init; }

    /// <summary>The last of a parted member's transactions that any other one has: all others have it then, or get it, and nothing comes after it. Of one that joins again, what it was when it was parted.</summary>
    public NpgsqlLogSequenceNumber Reach { get; init; }

    /// <summary>Whether what the others have is kept until it has it, too.</summary>
    public bool IsKeptFor => State is MemberState.Joining or MemberState.Joined;

    /// <summary>A member goes through its states in their order, and only one that was parted begins again; what would go back is an earlier word that comes late.</summary>
    public bool MayBecome(MemberState next) => next == State + 1 || (State, next) is (MemberState.Joining, MemberState.Parting) or (MemberState.Parted, MemberState.Joining);
}

/// <summary>Where a member stands. The names are those of EDB Postgres Distributed's nodes.</summary>
internal enum MemberState
{
    /// <summary>It has not its copy of the data yet: what it will need is held for it, and nothing comes from it.</summary>
    Joining,

    /// <summary>It has its data.</summary>
    Joined,

    /// <summary>It is to be a member no more: nothing is taken from it any more, and the others give each other what they have of it.</summary>
    Parting,

    /// <summary>The others have all of it that there is to have, and wait for it no more. To come back it must join anew.</summary>
    Parted,
}
