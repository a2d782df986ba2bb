using ActiveActive.Transport;

namespace ActiveActive;

/// <summary>What a peer dials for.</summary>
public enum PeerPurpose
{
    /// <summary>The stream of a node's changes.</summary>
    Changes = HelloPurpose.Changes,

    /// <summary>Some rows of a transaction, whose large values were not in the stream.</summary>
    Rows = HelloPurpose.Rows,
}
