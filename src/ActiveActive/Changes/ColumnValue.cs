namespace ActiveActive.Changes;

/// <summary>
/// One column of one row image, as PostgreSQL's text output under the library's fixed session settings (see
/// <c>SessionSettings</c>), so that equal text means an equal value on every node. An unchanged TOAST value, which logical
/// decoding does not carry, is a state of its own and never a null.
/// </summary>
internal readonly record struct ColumnValue
{
    private ColumnValue(string? text, bool isUnchanged)
    {
        Text = text;
        IsUnchanged = isUnchanged;
    }

    /// <summary>SQL NULL; also the <c>default</c>.</summary>
    public static ColumnValue Null => default;

    /// <summary>A TOASTed value that the update left alone and that the WAL does not hold.</summary>
    public static ColumnValue Unchanged => new(null, true);

    public static ColumnValue Of(string text) => new(text, false);

    /// <summary>The text; null for NULL and for <see cref="Unchanged"/>.</summary>
    public string? Text { get; }

    public bool IsUnchanged { get; }

    public bool IsNull => Text is null && !IsUnchanged;

    public override string ToString() => IsUnchanged ? "(unchanged)" : Text ?? "(null)";
}
