namespace QuickStart.Bank;

/// <summary>
/// What one host is told. It travels through the host's standard input: a command line could be read by every user of the machine.
/// </summary>
internal sealed record HostSettings
{
    /// <summary>The node's name.</summary>
    public required string Name { get; init; }

    /// <summary>Its database, as the replication role.</summary>
    public required string ConnectionString { get; init; }

    /// <summary>The secret that the nodes show each other.</summary>
    public required string SharedToken { get; init; }

    /// <summary>Where peers dial (HTTP/2).</summary>
    public required int PeerPort { get; init; }

    /// <summary>Where the application answers its users (HTTP/1.1).</summary>
    public required int AppPort { get; init; }

    /// <summary>The other nodes.</summary>
    public required IReadOnlyDictionary<string, Uri> Peers { get; init; }
}
