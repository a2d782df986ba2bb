using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Compliance.Database;

/// <summary>A table that every implementation of the seam is tested with. All are in the schema <c>public</c>.</summary>
internal sealed record ComplianceTable(string Name, IReadOnlyList<(string Name, string Type)> Columns, IReadOnlyList<string> Key)
{
    public static readonly ComplianceTable Items = new("items", [("id", "bigint"), ("name", "text"), ("note", "text")], ["id"]);

    /// <summary>Whole old rows are logged, for the sake of the delta column.</summary>
    public static readonly ComplianceTable Accounts =
        new("accounts", [("id", "bigint"), ("owner", "text"), ("balance", "bigint")], ["id"]) { DeltaColumns = ["balance"] };

    /// <summary>The key's columns stand in another order than the table's.</summary>
    public static readonly ComplianceTable Pairs = new("pairs", [("a", "text"), ("value", "text"), ("b", "text")], ["b", "a"]);

    /// <summary>Its body is stored out of line, and left out of the log where an update does not set it.</summary>
    public static readonly ComplianceTable Documents = new("documents", [("id", "bigint"), ("title", "text"), ("body", "text")], ["id"]) { ToastColumns = ["body"] };

    /// <summary>With a resolver, hence whole old rows, and a body stored out of line.</summary>
    public static readonly ComplianceTable Profiles = new("profiles", [("id", "bigint"), ("tags", "text"), ("body", "text")], ["id"])
    {
        ToastColumns = ["body"],
        Resolver = new NeverAsked(),
    };

    /// <summary>With two secondary unique keys; in the second one nulls are equal.</summary>
    public static readonly ComplianceTable Members = new("members", [("id", "bigint"), ("email", "text"), ("tenant", "text"), ("number", "text")], ["id"])
    {
        UniqueKeys = [(["email"], false), (["tenant", "number"], true)],
    };

    public static readonly ComplianceTable Owners = new("owners", [("id", "bigint")], ["id"]);

    /// <summary>With two foreign keys to the same table; their orphans are treated differently.</summary>
    public static readonly ComplianceTable Pets = new("pets", [("id", "bigint"), ("owner", "bigint"), ("home", "bigint")], ["id"])
    {
        ForeignKeys = [("owner", "owners", OrphanPolicy.SetNull), ("home", "owners", OrphanPolicy.Quarantine)],
    };

    public static readonly IReadOnlyList<ComplianceTable> All = [Items, Accounts, Pairs, Documents, Profiles, Members, Owners, Pets];

    /// <summary>Each from one column to the other table's <c>id</c>.</summary>
    public IReadOnlyList<(string Column, string Referenced, OrphanPolicy Policy)> ForeignKeys { get; init; } = [];

    public IReadOnlyList<(IReadOnlyList<string> Columns, bool NullsNotDistinct)> UniqueKeys { get; init; } = [];

    public IReadOnlyList<string> DeltaColumns { get; init; } = [];

    public IReadOnlyList<string> ToastColumns { get; init; } = [];

    public IConflictResolver? Resolver { get; init; }

    public TableName FullName => new("public", Name);

    /// <summary>The table as another node would describe it.</summary>
    public Relation Relation => new(FullName, FullName, [.. Columns.Select(c => new RelationColumn(c.Name, c.Type, Key.ToList().IndexOf(c.Name) + 1))]);

    public TableRule Rule
    {
        get
        {
            var rule = new TableRule { Pattern = FullName.ToString(), Resolver = Resolver };
            foreach (var (column, _, policy) in ForeignKeys) rule.OnOrphanOf[column] = policy;
            foreach (var column in DeltaColumns) rule.DeltaColumns.Add(column);
            return rule;
        }
    }

    /// <summary>A key from the values of the key's columns in key order.</summary>
    public RowKey KeyOf(params string[] values) => new(FullName, values);

    /// <summary>A local INSERT of a whole row, in column order.</summary>
    public LocalOperation Insert(params IReadOnlyList<string?> values) =>
        new(ChangeKind.Insert, this, default, [.. Columns.Zip(values, (c, v) => (c.Name, v))]);

    /// <summary>A local UPDATE of some columns of the row under a key.</summary>
    public LocalOperation Update(RowKey key, params IReadOnlyList<(string Column, string? Value)> set) => new(ChangeKind.Update, this, key, set);

    public LocalOperation Delete(RowKey key) => new(ChangeKind.Delete, this, key, []);

    public LocalOperation Truncate() => new(ChangeKind.Truncate, this, default, []);

    private sealed class NeverAsked : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => throw new InvalidOperationException("The seam asks no resolver.");
    }
}

/// <summary>One statement of a local transaction.</summary>
internal sealed record LocalOperation(ChangeKind Kind, ComplianceTable Table, RowKey Key, IReadOnlyList<(string Column, string? Value)> Values);
