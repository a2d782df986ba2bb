namespace ActiveActive.Testing;

/// <summary>How a server stops.</summary>
/// <seealso href="https://www.postgresql.org/docs/current/server-shutdown.html">Shutting down the server</seealso>
public enum PostgresStopMode
{
    /// <summary>Ends the sessions, waits for replication clients to receive what was written, writes a checkpoint.</summary>
    Fast,

    /// <summary>Ends everything at once without a checkpoint; the next start recovers from the WAL.</summary>
    Immediate,
}
