namespace ActiveActive.Testing;

/// <summary>A test server did not start, stop or initialise. The message carries the end of the server's log.</summary>
public sealed class PostgresServerException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What happened, to which server.</param>
    /// <param name="innerException">The last error seen, if any.</param>
    public PostgresServerException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
