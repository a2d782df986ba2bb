namespace ActiveActive;

/// <summary>
/// A counter-like column whose changes are added up instead of overwritten: an update ships <c>new − old</c> and every node adds
/// it, whoever wins the rest of the row. NOT NULL; smallint, integer, bigint, numeric or money.
/// </summary>
/// <param name="Name">The column.</param>
public sealed record DeltaColumn(string Name);
