namespace ActiveActive.Database;

/// <summary>The policies that the table rules give to one table's foreign keys. Pure.</summary>
/// <param name="Default">Of every foreign key that is not named.</param>
/// <param name="ByKey">By the constraint's name, or by its referencing columns in its order, as <see cref="Normalize"/> writes them.</param>
internal sealed record OrphanRules(OrphanPolicy Default, IReadOnlyDictionary<string, OrphanPolicy> ByKey)
{
    /// <summary>A list of columns, one way to write it; a constraint's name is left as it is.</summary>
    public static string Normalize(string foreignKey) => string.Join(", ", foreignKey.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));

    /// <summary>A constraint's name wins over a list of columns that reads the same.</summary>
    public OrphanPolicy PolicyOf(string constraint, IReadOnlyList<string> columns) =>
        ByKey.TryGetValue(Normalize(constraint), out var policy) || ByKey.TryGetValue(string.Join(", ", columns), out policy) ? policy : Default;

    /// <summary>What the rules name and the table has not.</summary>
    public IEnumerable<string> Unknown(IReadOnlyList<ForeignKey> keys) =>
        ByKey.Keys.Where(name => !keys.Any(k => Normalize(k.Name) == name || string.Join(", ", k.Columns) == name));
}
