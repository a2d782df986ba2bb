using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The log names the leaves that a TRUNCATE emptied and never the partitioned table. Where they are all the leaves that there are, the
/// table as a whole was truncated, and peers whose partitions differ can follow. One for all streams of a database: a peer that catches up gets what
/// the others got.
/// </summary>
internal sealed class PartitionTruncates(NpgsqlDataSource dataSource)
{
    // Of truncates of leaves; whoever reads an older one again is told by the catalog of now.
    private const int MaxDecided = 10_000;

    private static readonly string s_leavesOfSql = LeavesSql("to_regclass($1)");

    private static readonly string s_leavesBesideSql = LeavesSql("pg_catalog.pg_partition_root($1)");

    // Of tables that are no partitions of the root any more, when that (or what was done with them since) was; null where it is long ago.
    private static readonly string s_detachedSql = $"""
        SELECT c.oid, {VersionSql.Microseconds("pg_catalog.pg_xact_commit_timestamp(c.xmin)")}
        FROM pg_catalog.pg_class c WHERE c.oid = ANY($1)
        """;

    private readonly Lock _lock = new();

    // The leaves of each root that a stream has met, and since when each is one (null: long ago). By OID: names go from one leaf to another.
    private readonly Dictionary<TableName, Dictionary<uint, CommitTimestamp?>> _known = [];
    private readonly OrderedDictionary<(NpgsqlLogSequenceNumber Position, uint Xid, TableName Root), HashSet<uint>> _decided = [];

    /// <summary>
    /// Notes the leaves beside a table that the log describes, if it is one: whichever is detached by the time that a TRUNCATE is read may have been
    /// there. Asked whenever it is described, which is before its first row, whoever wrote that, and again after it was attached.
    /// </summary>
    public async ValueTask NoteAsync(uint table, CancellationToken cancellationToken)
    {
        var (root, leaves) = await ReadLeavesAsync(s_leavesBesideSql, new NpgsqlParameter { Value = table, NpgsqlDbType = NpgsqlDbType.Oid }, cancellationToken);
        if (root is not { } name) return;
        lock (_lock) Add(name, leaves);
    }

    public static bool IsNeeded(CapturedTransaction transaction) => transaction.Changes.Any(IsOfLeaf);

    /// <summary>
    /// The transaction with one TRUNCATE of the root in place of those of all its leaves. Which those were, is told of the moment of
    /// its commit; where it can't be, the narrower reading counts.
    /// </summary>
    public async ValueTask<CapturedTransaction> GatherAsync(CapturedTransaction transaction, CancellationToken cancellationToken)
    {
        var leaves = new Dictionary<TableName, HashSet<uint>>();
        foreach (var root in transaction.Changes.Where(IsOfLeaf).Select(c => c.Relation.Root).Distinct())
        {
            leaves.Add(root, await FindLeavesAsync(transaction, root, cancellationToken));
        }

        return transaction with { Changes = Gather(transaction.Changes, leaves) };
    }

    /// <summary>
    /// Gathers truncates that have no other change of their table between them: a row that was inserted between two of them would else
    /// outlive its own truncate, or be taken by one that came before it.
    /// </summary>
    public static IReadOnlyList<Change> Gather(IReadOnlyList<Change> changes, IReadOnlyDictionary<TableName, HashSet<uint>> leavesOfRoots)
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

                if (leaves.Count > 0 && leaves.IsSubsetOf(run.Select(at => changes[at].Relation.Oid)))
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

    // By the catalogs alone: pg_partition_tree locks the partitions, and capture must not stand behind an application's lock.
    private static string LeavesSql(string root) => $"""
        WITH RECURSIVE tree (root, relid, attached) AS (
            SELECT {root}::oid, {root}::oid, NULL::timestamptz
            UNION ALL
            SELECT tree.root, i.inhrelid, greatest(tree.attached, pg_catalog.pg_xact_commit_timestamp(i.xmin)) FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.relid)
        SELECT c.oid, {VersionSql.Microseconds("tree.attached")}, n.nspname, r.relname
        FROM tree
        JOIN pg_catalog.pg_class c ON c.oid = tree.relid
        JOIN pg_catalog.pg_class r ON r.oid = tree.root
        JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
        WHERE c.relkind <> 'p' AND c.oid <> r.oid
        """;

    /// <summary>All that a root had when a transaction committed.</summary>
    private async ValueTask<HashSet<uint>> FindLeavesAsync(CapturedTransaction transaction, TableName root, CancellationToken cancellationToken)
    {
        var key = (transaction.Position, transaction.Xid, root);
        lock (_lock)
        {
            if (_decided.TryGetValue(key, out var decided)) return decided;
        }

        // One that was attached since can't have been meant, however late the log is read; one that was detached since was there.
        var (_, now) = await ReadLeavesAsync(s_leavesOfSql, new NpgsqlParameter { Value = PostgresNames.Quote(root), NpgsqlDbType = NpgsqlDbType.Text }, cancellationToken);
        KeyValuePair<uint, CommitTimestamp?>[] known;
        lock (_lock) known = [.. Add(root, now)];
        uint[] missing = [.. known.Select(static l => l.Key).Where(oid => !now.ContainsKey(oid))];
        var detached = missing.Length == 0 ? [] : await ReadDetachedAsync(missing, cancellationToken);
        var then = known.Where(l => now.ContainsKey(l.Key) ? !(l.Value > transaction.Stamp) : detached.GetValueOrDefault(l.Key) >= transaction.Stamp).Select(static l => l.Key).ToHashSet();
        lock (_lock)
        {
            // One that was dropped is nothing to anybody any more.
            foreach (var oid in missing.Where(oid => !detached.ContainsKey(oid))) _known[root].Remove(oid);
            if (_decided.TryGetValue(key, out var decided)) return decided;
            if (_decided.Count == MaxDecided) _decided.RemoveAt(0);
            _decided.Add(key, then);
            return then;
        }
    }

    // Keeps the first time of each: it may have come, gone and come again.
    private Dictionary<uint, CommitTimestamp?> Add(TableName root, Dictionary<uint, CommitTimestamp?> leaves)
    {
        if (!_known.TryGetValue(root, out var known)) _known.Add(root, known = []);
        foreach (var (oid, attached) in leaves)
        {
            if (!known.TryGetValue(oid, out var first) || first > attached || attached is null) known[oid] = attached;
        }

        return known;
    }

    private async ValueTask<(TableName? Root, Dictionary<uint, CommitTimestamp?> Leaves)> ReadLeavesAsync(string sql, NpgsqlParameter parameter, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(sql);
        command.Parameters.Add(parameter);
        TableName? root = null;
        var leaves = new Dictionary<uint, CommitTimestamp?>();
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        while (await rows.ReadAsync(cancellationToken))
        {
            leaves.Add(rows.GetFieldValue<uint>(0), StampOf(rows));
            root = new TableName(rows.GetString(2), rows.GetString(3));
        }

        return (root, leaves);
    }

    private async ValueTask<Dictionary<uint, CommitTimestamp?>> ReadDetachedAsync(uint[] oids, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(s_detachedSql);
        command.Parameters.Add(new NpgsqlParameter { Value = oids, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Oid });
        var detached = new Dictionary<uint, CommitTimestamp?>();
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        while (await rows.ReadAsync(cancellationToken)) detached.Add(rows.GetFieldValue<uint>(0), StampOf(rows));
        return detached;
    }

    private static CommitTimestamp? StampOf(NpgsqlDataReader rows) => rows.IsDBNull(1) ? null : new CommitTimestamp(rows.GetInt64(1));
}
