namespace ActiveActive.Soak.Faults;

/// <summary>What is broken. Between two nodes there are two lines, one for each that dials; faults of lines take both, unless they say otherwise.</summary>
internal enum FaultKind
{
    /// <summary>SIGKILL to a host, which is started again a little later.</summary>
    HostKill,

    /// <summary>SIGSTOP to a host, then SIGCONT.</summary>
    HostStop,

    /// <summary>A host is stopped in order and started again.</summary>
    HostRestart,

    /// <summary>SIGKILL to a server with all of its processes; it is started again.</summary>
    ServerKill,

    /// <summary>An immediate shutdown of a server; it is started again.</summary>
    ServerRestart,

    /// <summary>SIGSTOP to a server with all of its processes, then SIGCONT.</summary>
    ServerStop,

    /// <summary>Connections between two nodes are reset.</summary>
    Cut,

    /// <summary>Connections between two nodes are ended in order.</summary>
    Close,

    /// <summary>Connections between two nodes are reset again and again.</summary>
    Flap,

    /// <summary>Bytes between two nodes wait, and arrive in the end.</summary>
    Partition,

    /// <summary>The same between one node and all others.</summary>
    Isolation,

    /// <summary>Bytes between two nodes are lost, and nobody is told: half-open connections.</summary>
    BlackHole,

    /// <summary>The same in one direction of one line.</summary>
    OneWayLoss,

    /// <summary>20 to 300 ms each way.</summary>
    Delay,

    /// <summary>20 to 500 KB a second.</summary>
    Squeeze,

    /// <summary>Connections between two nodes are reset, and so are new ones.</summary>
    Refusal,
}
