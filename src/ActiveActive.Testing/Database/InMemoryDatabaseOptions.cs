using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <summary>What an <see cref="InMemoryDatabase"/> is made of.</summary>
internal sealed record InMemoryDatabaseOptions
{
    public required NodeName Node { get; init; }

    public required IReadOnlyList<InMemoryTableDefinition> Tables { get; init; }

    /// <summary>The database server's clock: commit timestamps and server time. It may step back; stamps then do, too.</summary>
    public required TimeProvider Clock { get; init; }

    /// <summary>The identity that set-up "makes". Given, so that a history repeats exactly.</summary>
    public Guid Incarnation { get; init; }

    /// <summary>The system identifier that <see cref="InMemoryDatabase.SetUpAsync"/> reports.</summary>
    public ulong SystemIdentifier { get; init; } = 1;

    /// <summary>A transaction is yielded in parts of at most so many changes, 1 or more. Default: 5,000.</summary>
    public int MaxChangesPerPart { get; init; } = 5_000;

    /// <summary>
    /// How long an asynchronous commit lies in memory before the log writer makes it durable (PostgreSQL's <c>wal_writer_delay</c>), by
    /// the <see cref="Clock"/>'s timers; <see cref="Timeout.InfiniteTimeSpan"/> for never. Default: 200 ms.
    /// </summary>
    public TimeSpan LogWriterDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Awaited between the steps of a local commit (<see cref="InMemoryTransaction.CommitAsync"/>). Default: nothing.</summary>
    public Func<ValueTask>? CommitInterrupt { get; init; }

    /// <summary>Awaited wherever a server may let others go first: before each row that a statement locks. Default: nothing.</summary>
    public Func<ValueTask>? Interrupt { get; init; }

    /// <summary>Told which row a session that treats orphans has locked and decides about now. Default: nobody.</summary>
    public Action<RowKey>? OrphanLocked { get; init; }

    /// <summary>Told of that session's commit, when its record is written and before the rows are shown. Default: nobody.</summary>
    public Action<InMemoryTransaction>? OrphanTreated { get; init; }
}

/// <summary>A table of an <see cref="InMemoryDatabase"/>.</summary>
/// <param name="Table">Its name, columns, primary key and settings.</param>
/// <param name="ToastColumns">Columns whose values logical decoding leaves out where an update does not set them.</param>
internal sealed record InMemoryTableDefinition(LocalTable Table, params IReadOnlyList<string> ToastColumns)
{
    /// <summary>Names the check constraint that a row violates, or returns null. Asked for every row written, by applications and peers alike.</summary>
    public Func<ColumnValue[], string?> Check { get; init; } = static _ => null;

    /// <summary>Unique keys besides the primary key.</summary>
    public IReadOnlyList<InMemoryUniqueKey> UniqueKeys { get; init; } = [];

    /// <summary>Foreign keys, each to another table's primary key.</summary>
    public IReadOnlyList<ForeignKey> ForeignKeys { get; init; } = [];
}

/// <summary>A unique constraint or index.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Ordinals">The columns.</param>
internal sealed record InMemoryUniqueKey(string Name, IReadOnlyList<int> Ordinals)
{
    /// <summary>NULLS NOT DISTINCT: nulls are equal, too.</summary>
    public bool NullsNotDistinct { get; init; }

    /// <summary>Not checked where triggers do not fire: for an applier.</summary>
    public bool IsDeferrable { get; init; }

    /// <summary>Of a partial index: the rows that it holds.</summary>
    public Func<ColumnValue[], bool> Where { get; init; } = static _ => true;

    /// <summary>What must not be there twice; null for a row that the key does not hold, or that is equal to none.</summary>
    public RowKey? ValueOf(TableName table, ColumnValue[] row)
    {
        if (!Where(row)) return null;
        var values = new string[Ordinals.Count];
        for (var i = 0; i < values.Length; i++)
        {
            var value = row[Ordinals[i]];
            if (value.Text is null && !NullsNotDistinct) return null;
            values[i] = value.Text is { } text ? "=" + text : "null";
        }

        return new RowKey(table, values);
    }
}
