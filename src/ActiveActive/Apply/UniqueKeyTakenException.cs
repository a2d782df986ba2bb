namespace ActiveActive.Apply;

/// <summary>A row to write has a value of a secondary unique key that another row has. Where the table's rule does not resolve that, it is a refusal.</summary>
#pragma warning disable CA1032 // It is caught by name and never made without its table.
internal sealed class UniqueKeyTakenException(TableName table, string message, Exception? innerException = null)
    : ReplicationException(ReplicationErrorKind.ApplyRefused, message, innerException)
{
    public TableName Table { get; } = table;
}
