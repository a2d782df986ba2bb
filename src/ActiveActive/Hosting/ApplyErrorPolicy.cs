namespace ActiveActive;

/// <summary>
/// What becomes of a peer's transaction that this database refuses for good: a constraint, a sum that overflows, a value that does not
/// fit, a missing table or column, a trigger that raises, a resolver that throws.
/// </summary>
public enum ApplyErrorPolicy
{
    /// <summary>The peer's stream waits, and all that comes after it in that stream; tried again until somebody has mended the cause.</summary>
    Hold,

    /// <summary>
    /// The transaction is put aside whole, after three tries, and the stream goes on. Later transactions that have seen it and write a row
    /// that it writes are put aside behind it; everything else flows. See <see cref="TransactionQuarantine"/>.
    /// </summary>
    Quarantine,
}
