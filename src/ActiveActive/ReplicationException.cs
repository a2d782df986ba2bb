namespace ActiveActive;

/// <summary>What kind of fault, which tells what happens next (see <see cref="ReplicationException"/>).</summary>
public enum ReplicationErrorKind
{
    /// <summary>Deadlock, serialization failure, lock timeout, lost connection, server restarting: retried for ever with back-off.</summary>
    Transient,

    /// <summary>The slot, origin or node name is held by another session: retried, since a take-over ends this.</summary>
    InUse,

    /// <summary>Wrong password, unknown database or role, missing privilege: retried slowly, reported until fixed.</summary>
    AccessDenied,

    /// <summary>A constraint, type, trigger or missing column refuses the change: the stream of that peer holds.</summary>
    ApplyRefused,

    /// <summary>The peer speaks another protocol, is another node than expected, or its settings disagree: refused, retried slowly.</summary>
    PeerRefused,

    /// <summary>The node's own options or database are not fit to replicate: replication does not start.</summary>
    Misconfigured,

    /// <summary>A frame, message or stored value is not what the protocol says: the connection ends and is opened again.</summary>
    Corrupt,
}

/// <summary>
/// A fault of replication. The message says what happened, to which node, table, slot or position, and what to do.
/// </summary>
public class ReplicationException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ReplicationException(ReplicationErrorKind kind, string message, Exception? innerException = null)
        : base(message, innerException) => Kind = kind;

    /// <summary>Creates a transient fault without a message.</summary>
    public ReplicationException() => Kind = ReplicationErrorKind.Transient;

    /// <summary>Creates a transient fault.</summary>
    public ReplicationException(string message) : base(message) => Kind = ReplicationErrorKind.Transient;

    /// <summary>Creates a transient fault.</summary>
    public ReplicationException(string message, Exception innerException) : base(message, innerException) => Kind = ReplicationErrorKind.Transient;

    /// <summary>What happens next.</summary>
    public ReplicationErrorKind Kind { get; }
}
