namespace ActiveActive.Soak;

/// <summary>The run can't go on; the message says why.</summary>
internal sealed class SoakException(string message) : Exception(message);
