namespace ActiveActive;

/// <summary>What the receiving side of a peer is doing.</summary>
public enum PeerLinkState
{
    /// <summary>Not started, or between tries.</summary>
    Disconnected,

    /// <summary>Dialling and greeting.</summary>
    Connecting,

    /// <summary>Connected and applying.</summary>
    Streaming,

    /// <summary>A change can't be applied until someone mends what the message says; nothing is lost, tried again regularly.</summary>
    Holding,

    /// <summary>The peer refused this node, or this node the peer; tried again regularly.</summary>
    Refused,

    /// <summary>Paused by the application.</summary>
    Paused,

    /// <summary>No member of the cluster yet: the options name it, and it is expected to join.</summary>
    Expected,

    /// <summary>It is being parted from the cluster: nothing is taken from it any more, and the members give each other what they have of it. The message says what that waits for.</summary>
    Parting,

    /// <summary>Parted from the cluster: nobody waits for it, and it gets nothing until it joins anew. The message says why it was parted.</summary>
    Parted,
}
