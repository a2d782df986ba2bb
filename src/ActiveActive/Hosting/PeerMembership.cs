namespace ActiveActive;

/// <summary>Whether a node that the options name belongs to the cluster.</summary>
public enum PeerMembership
{
    /// <summary>Not known: this instance does not lead, or is starting.</summary>
    Unknown,

    /// <summary>It is named, and expected to join.</summary>
    Expected,

    /// <summary>A member that has not its copy of the data yet: what it will need is kept for it.</summary>
    Joining,

    /// <summary>A member.</summary>
    Joined,

    /// <summary>Being parted: the others take nothing from it any more (<see cref="ReplicationNode.PartAsync"/>).</summary>
    Parting,

    /// <summary>Parted: a member no more.</summary>
    Parted,
}
