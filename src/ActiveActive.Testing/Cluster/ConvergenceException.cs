namespace ActiveActive.Testing;

/// <summary>
/// The nodes of an <see cref="InMemoryCluster"/> do not hold the same rows. The message shows which rows differ, on which node, by which write,
/// and what keeps the rest from arriving. It holds row values.
/// </summary>
public sealed class ConvergenceException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ConvergenceException(string message) : base(message)
    {
    }
}
