namespace ActiveActive.Benchmarks;

/// <summary>A case could not be measured; the message says why.</summary>
internal sealed class BenchmarkException : Exception
{
    public BenchmarkException(string message) : base(message)
    {
    }

    public BenchmarkException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
