namespace ActiveActive.Benchmarks.Hosts;

/// <summary>What one host is told, by its standard input.</summary>
internal sealed record HostSettings
{
    public required string Name { get; init; }

    /// <summary>Its database, as the replication role, which is no superuser.</summary>
    public required string ConnectionString { get; init; }

    public required string SharedToken { get; init; }

    /// <summary>Where peers dial (HTTP/2).</summary>
    public required int PeerPort { get; init; }

    /// <summary>Where the benchmark asks for the status, pauses and resumes (HTTP/1.1).</summary>
    public required int ControlPort { get; init; }

    /// <summary>The other nodes; several addresses where a node has several instances.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyList<Uri>> Peers { get; init; }

    /// <summary>Delta columns by table; other tables take the last update.</summary>
    public required IReadOnlyDictionary<string, string> DeltaColumns { get; init; }
}

/// <summary>What a host says of itself.</summary>
/// <param name="State">Whether it captures, or stands by.</param>
/// <param name="Message">What keeps it from that.</param>
/// <param name="Receiving">Each peer's link.</param>
/// <param name="PeerMessages">What keeps a peer's link from streaming.</param>
internal sealed record HostStatus(NodeState State, string? Message, IReadOnlyDictionary<string, PeerLinkState> Receiving, IReadOnlyList<string> PeerMessages);
