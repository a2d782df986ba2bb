using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>Committed transactions in commit order, read from the log. One reader; <see cref="Confirm"/> may be called from another thread.</summary>
internal interface IChangeStream : IAsyncDisposable
{
    /// <summary>Yields local and foreign transactions; ends by exception when the connection is lost.</summary>
    IAsyncEnumerable<CapturedTransaction> ReadAsync(CancellationToken cancellationToken);

    /// <summary>
    /// The log position up to which everything has been read from the server; moves with keepalives, too. While
    /// <see cref="ReadAsync"/> waits for more, nothing undelivered lies before it.
    /// </summary>
    NpgsqlLogSequenceNumber ReceivedPosition { get; }

    /// <summary>Lets the server recycle the log before a position: it will not be asked for again.</summary>
    void Confirm(NpgsqlLogSequenceNumber position);
}
