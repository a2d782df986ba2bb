namespace QuickStart;

/// <summary>The run can't go on; the message says why and, where there is something, what to do.</summary>
internal sealed class QuickStartException : Exception
{
    public QuickStartException(string message) : base(message)
    {
    }

    public QuickStartException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
