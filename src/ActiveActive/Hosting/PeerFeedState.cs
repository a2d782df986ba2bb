namespace ActiveActive;

/// <summary>What the sending side of a peer is doing.</summary>
public enum PeerFeedState
{
    /// <summary>The peer has not dialled, or its connection ended; it dials again.</summary>
    Disconnected,

    /// <summary>The peer is far behind and reads through its own copy of the slot.</summary>
    CatchingUp,

    /// <summary>The peer reads from the change log in memory.</summary>
    Streaming,
}
