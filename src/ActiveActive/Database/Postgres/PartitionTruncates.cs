using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The log names the leaves that a TRUNCATE emptied and never the partitioned table. Where they are all the leaves that there are, the
/// table as a whole was truncated, and peers whose partitions differ can follow.
/// </summary>
internal sealed class PartitionTruncates(NpgsqlDataSource dataSource)
{
    // By the catalogs alone: pg_partition_tree locks the partitions, and capture must not stand behind an application's lock.
    private static readonly string s_leavesSql = $"""
        WITH RECURSIVE tree (relid, attached) AS (
            SELECT to_regclass($1)::oid, NULL::timestamptz
            UNION ALL
            SELECT i.inhrelid, greatest(tree.attached, pg_catalog.pg_xact_commit_timestamp(i.xmin)) FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.relid)
        SELECT c.oid, n.nspname, c.relname, {VersionSql.Microseconds("tree.attached")}
        FROM tree
        JOIN pg_catalog.pg_class c ON c.oid = tree.relid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind <> 'p'
        """;

    // Of a table that is no partition of the root any more, when that (or what was done with it since) was; null where it is long ago. One that was dropped is not found: it is nothing to anybody any more.
    private static readonly string s_detachedSql = $"""
        SELECT {VersionSql.Microseconds("pg_catalog.pg_xact_commit_timestamp(c.xmin)")}
        FROM pg_catalog.pg_class c WHERE c.oid = $1
        """;

    // Each that the stream has met.
    private readonly Dictionary<TableName, IReadOnlyList<Leaf>> _known = [];

    /// <summary>Notes a table's leaves as they are, once: one that is detached by the time a TRUNCATE is read may have been there.</summary>
    public async ValueTask NoteAsync(Relation relation, CancellationToken cancellationToken)
    {
        if (relation.Name == relation.Root || _known.ContainsKey(relation.Root)) return;
        _known[relation.Root] = await ReadLeavesAsync(relation.Root, cancellationToken);
    }

    public static bool IsNeeded(CapturedTransaction transaction) => transaction.Changes.Any(IsOfLeaf);

    /// <summary>
    /// The transaction with one TRUNCATE of the root in place of those of all its leaves. Which those were, is told of the moment of
    /// its commit; where it can't be, the narrower reading counts.
    /// </summary>
    public async ValueTask<CapturedTransaction> GatherAsync(CapturedTransaction transaction, CancellationToken cancellationToken)
    {
        var leaves = new Dictionary<TableName, HashSet<TableName>>();
        foreach (var root in transaction.Changes.Where(IsOfLeaf).Select(c => c.Relation.Root).Distinct())
        {
            // One that was attached since can't have been meant, however late the log is read; one that was detached since was there.
            var now = await ReadLeavesAsync(root, cancellationToken);
            var known = _known.GetValueOrDefault(root, []);
            var truncated = transaction.Changes.Where(IsOfLeaf).Select(static c => c.Relation.Name).ToHashSet();
            var then = new HashSet<TableName>();
            // By OID: one can have been attached more than once, or have another name by now.
            foreach (var leaf in now.Concat(known).GroupBy(static l => l.Oid))
            {
                var wasThere = now.Any(n => n.Oid == leaf.Key) ? leaf.Any(l => !(l.Attached > transaction.Stamp)) : await ReadDetachedAsync(leaf.Key, cancellationToken) >= transaction.Stamp;
                if (wasThere) then.Add(leaf.Select(static l => l.Name).FirstOrDefault(truncated.Contains, leaf.First().Name));
            }

            leaves.Add(root, then);
            _known[root] = [.. known, .. now.Except(known)];
        }

        return transaction with { Changes = Gather(transaction.Changes, leaves) };
    }

    /// <summary>
    /// Gathers truncates that have no other change of their table between them: a row that was inserted between two of them would else
    /// outlive its own truncate, or be taken by one that came before it.
    /// </summary>
    public static IReadOnlyList<Change> Gather(IReadOnlyList<Change> changes, IReadOnlyDictionary<TableName, HashSet<TableName>> leavesOfRoots)
    {
        var gathered = changes.ToArray<Change?>();
        foreach (var (root, leaves) in leavesOfRoots)
        {
            var run = new List<int>();
            for (var i = 0; i <= changes.Count; i++)
            {
                if (i < changes.Count && changes[i].Relation.Root != root) continue;
                if (i < changes.Count && IsOfLeaf(changes[i]))
                {
                    run.Add(i);
                    continue;
                }

                if (leaves.Count > 0 && leaves.IsSubsetOf(run.Select(at => changes[at].Relation.Name)))
                {
                    foreach (var at in run) gathered[at] = null;
                    gathered[run[0]] = Change.Truncate(new Relation(root, root, changes[run[0]].Relation.Columns));
                }

                run.Clear();
            }
        }

        return [.. gathered.OfType<Change>()];
    }

    private static bool IsOfLeaf(Change change) => change.Kind == ChangeKind.Truncate && change.Relation.Name != change.Relation.Root;

    private async ValueTask<IReadOnlyList<Leaf>> ReadLeavesAsync(TableName root, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(s_leavesSql);
        command.Parameters.Add(new NpgsqlParameter { Value = PostgresNames.Quote(root), NpgsqlDbType = NpgsqlDbType.Text });
        var leaves = new List<Leaf>();
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        while (await rows.ReadAsync(cancellationToken)) leaves.Add(new Leaf(rows.GetFieldValue<uint>(0), new TableName(rows.GetString(1), rows.GetString(2)), rows.IsDBNull(3) ? null : new CommitTimestamp(rows.GetInt64(3))));
        return leaves;
    }

    private async ValueTask<CommitTimestamp?> ReadDetachedAsync(uint oid, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(s_detachedSql);
        command.Parameters.Add(new NpgsqlParameter { Value = oid, NpgsqlDbType = NpgsqlDbType.Oid });
        return await command.ExecuteScalarAsync(cancellationToken) is long microseconds ? new CommitTimestamp(microseconds) : null;
    }

    /// <param name="Oid">Its OID.</param>
    /// <param name="Name">The partition.</param>
    /// <param name="Attached">When it, or a table between it and the root, was attached last; null where that is long ago.</param>
    private readonly record struct Leaf(uint Oid, TableName Name, CommitTimestamp? Attached);
}
