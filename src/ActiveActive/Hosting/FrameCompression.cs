namespace ActiveActive;

/// <summary>
/// Whether transactions are compressed on the way between two nodes (<see cref="ReplicationNodeOptions.Compression"/>). Compressed is what is large, from 1 KiB on,
/// and, where a peer is behind, many small transactions together; each once for all peers. docs/PERFORMANCE.md has what it saves and costs.
/// </summary>
public enum FrameCompression
{
    /// <summary>Compressed, except from a peer whose address is on loopback.</summary>
    Auto,

    /// <summary>Nothing is compressed, whatever the peer asks for.</summary>
    None,

    /// <summary>Compressed on loopback, too.</summary>
    Always,
}
