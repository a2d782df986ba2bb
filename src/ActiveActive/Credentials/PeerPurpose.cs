using ActiveActive.Transport;

namespace ActiveActive;

/// <summary>What a peer dials for.</summary>
public enum PeerPurpose
{
    /// <summary>The stream of a node's changes.</summary>
    Changes = HelloPurpose.Changes,

    /// <summary>Some rows of a transaction, whose large values were not in the stream.</summary>
    Rows = HelloPurpose.Rows,

    /// <summary>To become a member of the cluster.</summary>
    Join = HelloPurpose.Join,

    /// <summary>A copy of the data, for a node that joins.</summary>
    Copy = HelloPurpose.Copy,

    /// <summary>That another node is to be a member no more.</summary>
    Part = HelloPurpose.Part,
}
