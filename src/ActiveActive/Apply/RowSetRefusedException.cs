namespace ActiveActive.Apply;

/// <summary>
/// A statement for many rows failed where statements for each of them may not, or would say which row is at fault. The transaction is to be applied
/// again, its writes one by one.
/// </summary>
internal sealed class RowSetRefusedException(string message, Exception? innerException) : ReplicationException(ReplicationErrorKind.Transient, message, innerException);
