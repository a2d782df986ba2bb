namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>One entry of <c>pg_class</c>.</summary>
/// <param name="Oid">Its OID.</param>
/// <param name="Name">Its name.</param>
/// <param name="Kind"><c>relkind</c>: r table, p partitioned table, v view, m materialised view, f foreign table.</param>
/// <param name="Root">The topmost partitioned table; equal to <paramref name="Oid"/> for anything that is not a partition.</param>
internal sealed record RelationFacts(uint Oid, TableName Name, char Kind, uint Root)
{
    public bool IsTable => Kind is 'r' or 'p';

    public bool IsPartition => Root != Oid;
}

/// <summary>A table that takes part, with its partitions.</summary>
internal sealed record TableFacts
{
    public required RelationFacts Relation { get; init; }

    public required TableSettings Settings { get; init; }

    public bool IsUnlogged { get; init; }

    /// <summary><c>relreplident</c>: d default, f full, i index, n nothing.</summary>
    public char ReplicaIdentity { get; init; } = 'd';

    public string Owner { get; init; } = "";

    public bool MayActAsOwner { get; init; } = true;

    public bool MayUseSchema { get; init; } = true;

    /// <summary>Out of SELECT, INSERT, UPDATE, DELETE and TRUNCATE.</summary>
    public IReadOnlyList<string> MissingPrivileges { get; init; } = [];

    /// <summary>Row-level security hides rows from the role.</summary>
    public bool HidesRows { get; init; }

    /// <summary>Has children by table inheritance, partitions not counted.</summary>
    public bool HasInheritors { get; init; }

    /// <summary>The primary key's columns in key order; empty where there is none.</summary>
    public IReadOnlyList<string> Key { get; init; } = [];

    public string KeyConstraint { get; init; } = "";

    public bool IsKeyDeferrable { get; init; }

    /// <summary>The replica identity is an index, and it is the primary key's.</summary>
    public bool IsIdentityTheKey { get; init; }

    public IReadOnlyList<string> ExclusionConstraints { get; init; } = [];

    public IReadOnlyList<ColumnFacts> Columns { get; init; } = [];

    /// <summary>Partitions of every level, with the same facts (columns left out).</summary>
    public IReadOnlyList<TableFacts> Partitions { get; init; } = [];

    public TableName Name => Relation.Name;

    /// <summary>The table and its partitions.</summary>
    public IEnumerable<TableFacts> All => Partitions.Prepend(this);

    public ColumnFacts? Find(string column) => Columns.FirstOrDefault(c => c.Name == column);
}

/// <summary>A column.</summary>
internal sealed record ColumnFacts(string Name)
{
    /// <summary>As <c>format_type</c> prints it.</summary>
    public string TypeName { get; init; } = "bigint";

    /// <summary>The type's own name in <c>pg_type</c>, below all domains.</summary>
    public string BaseType { get; init; } = "int8";

    /// <summary>Part of the primary key, and two equal values of it can have different texts, for example 1.0 and 1.00.</summary>
    public bool EqualValuesDiffer { get; init; }

    public bool IsNotNull { get; init; } = true;

    public bool IsGenerated { get; init; }

    public bool IsIdentity { get; init; }

    /// <summary>Its default takes values from a sequence, or it is an identity column.</summary>
    public bool IsSequenceBacked { get; init; }

    /// <summary>That sequence; null where the default does not tell.</summary>
    public SequenceFacts? Sequence { get; init; }
}

/// <summary>A sequence behind a key.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Increment">Its step; may be negative.</param>
/// <param name="Last">The last value it gave, or one step before its start; null where the role may not read it.</param>
internal sealed record SequenceFacts(TableName Name, long Increment, long? Last);
