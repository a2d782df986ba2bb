namespace ActiveActive.Testing;

/// <summary>How <see cref="ResolverLaws"/> looks for counter-examples.</summary>
public sealed record ResolverLawOptions
{
    /// <summary>How many triples of rows are tried, 1 or more. Default: 200.</summary>
    public int Cases { get; init; } = 200;

    /// <summary>What the rows are drawn from; the same seed gives the same rows. Default: 1.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The table that the resolver is told. Default: <c>public.t</c>.</summary>
    public TableName Table { get; init; } = new("public", "t");

    /// <summary>
    /// The primary key's columns: the rows of a triple get the same key, and an answer with another key breaks the law
    /// <see cref="ResolverLawReport.Answers"/>. Default: none; the generator then gives the same key always.
    /// </summary>
    public IReadOnlyList<string> Key { get; init; } = [];

    /// <summary>
    /// Whether the process's local time zone is another one for some moments, which other tests that run meanwhile would see. Has no effect on
    /// Windows. Default: true.
    /// </summary>
    public bool VaryTimeZone { get; init; } = true;
}
