namespace ActiveActive.Database;

/// <summary>A foreign key of a replicated table.</summary>
internal record ForeignKey
{
    /// <summary>The table that has it; never a partition.</summary>
    public required TableName Table { get; init; }

    public required string Name { get; init; }

    /// <summary>The referencing columns.</summary>
    public required IReadOnlyList<string> Columns { get; init; }

    public required TableName Referenced { get; init; }

    public required IReadOnlyList<string> ReferencedColumns { get; init; }

    /// <summary>MATCH SIMPLE asks for nothing where any column is null, MATCH FULL only where all are.</summary>
    public bool IsMatchFull { get; init; }

    /// <summary>Whether the referenced table is replicated: else what is an orphan here may be none elsewhere.</summary>
    public bool IsReferencedReplicated { get; init; } = true;

    /// <summary>Of the columns those that SET NULL sets; empty where no choice of them would end the reference.</summary>
    public IReadOnlyList<string> NullableColumns { get; init; } = [];

    public OrphanPolicy Policy { get; init; }
}
