using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Transport;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Turns a plan into one pipelined batch (a TRUNCATE in between cuts it in two) and checks what each write hit. Rows go in sets where their order does
/// not matter (<see cref="RowSets"/>).
/// </summary>
/// <param name="connection">The session's.</param>
/// <param name="catalog">What it knows of tables.</param>
/// <param name="truncation">Performs a TRUNCATE.</param>
/// <param name="interrupt">Has the server cancel what the connection runs.</param>
internal sealed class PlanWriter(NpgsqlConnection connection, LocalTableCatalog catalog, TableTruncation truncation, Func<Task> interrupt)
{
    private static readonly string s_groupedSql = $"SELECT pg_logical_emit_message(true, '{PostgresNames.GroupedPrefix}', $1)";

    // What is stored beside rows says more than their xmin.
    private const string UnexpectedSql =
        "SELECT EXISTS (SELECT FROM active_active.version_override WHERE table_name = ANY($1)) OR EXISTS (SELECT FROM active_active.sibling WHERE table_name = ANY($1))";

    // COPY does not tell how many rows it has inserted where a trigger keeps some out. One that was created since the tables were looked up has its lock before the rows that were copied.
    private const string TriggersSql =
        """
         OR EXISTS (SELECT FROM unnest($2) AS n(name)
                    JOIN pg_trigger g ON g.tgrelid = n.name::regclass OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(n.name::regclass))
                    WHERE g.tgenabled IN ('A', 'R'))
         OR EXISTS (SELECT FROM unnest($2) AS n(name) JOIN pg_rewrite r ON r.ev_class = n.name::regclass WHERE r.ev_enabled IN ('A', 'R'))
        """;

    private readonly List<(NpgsqlBatchCommand Command, int Rows, PlannedWrite? Write)> _pending = [];
    private readonly RowSets _sets = new(catalog);

    // Where the next transaction's sets are gathered while one's are sent.
    private RowSets? _spare;
    private readonly List<Tombstone> _tombstones = [];
    private readonly TransactionEncoder _encoder = new(int.MaxValue);
    private readonly List<NpgsqlBatchCommand> _messages = [];
    private GroupedVersions? _grouped;
    private bool _hasOwnOverrides;
    private bool _hasOwnSiblings;

    public void Begin()
    {
        _messages.Clear();
        _grouped = null;
        _hasOwnOverrides = _hasOwnSiblings = false;
    }

    /// <summary>Told ahead of the next writes.</summary>
    public void Group(GroupedVersions versions) => _grouped = versions;

    /// <param name="plan">What to write.</param>
    /// <param name="prefix">A command to send ahead, or null.</param>
    /// <param name="cancellationToken">Ends the wait for locks; the transaction must then be rolled back.</param>
    public async ValueTask WriteAsync(ApplyPlan plan, NpgsqlBatchCommand? prefix, CancellationToken cancellationToken)
    {
        _pending.Clear();
        _sets.Clear();
        _tombstones.Clear();
        AddBeginning(prefix is null ? [] : [prefix]);
        var apart = plan.IsInOrder || _hasOwnOverrides || _hasOwnSiblings ? null : KeysWithNotes(plan);
        foreach (var write in plan.Writes)
        {
            if (write is TruncateTable truncate)
            {
                AppendSets();
                await SendAsync(cancellationToken);
                await truncation.RunAsync(truncate, catalog.StatementsOf(truncate.Table), cancellationToken);
            }

            if (write is SetTombstone tombstone) _tombstones.Add(new Tombstone(tombstone.Table.Name, tombstone.Key.ToText(), tombstone.Version));
            else if (apart is null || !TryAddToSets(write, apart)) Append(write);
        }

        AppendSets();
        if (_tombstones.Count > 0)
        {
            foreach (var command in TombstoneTable.Save(_tombstones)) Add(command);
        }

        foreach (var conflict in plan.Conflicts) Add(ConflictHistoryTable.Append(conflict));
        await SendAsync(cancellationToken);
    }

    private void AddBeginning(IReadOnlyList<NpgsqlBatchCommand> prefix)
    {
        foreach (var command in prefix) Add(command);
        if (_grouped is not null) Add(SqlParameters.Command(s_groupedSql, SqlParameters.Bytes(_grouped.ToBytes())));
        _grouped = null;
    }

    /// <summary>
    /// Beside these rows an override, siblings or a loser is written, which goes by the row's state at that moment: their writes keep their places.
    /// </summary>
    private static HashSet<RowKey> KeysWithNotes(ApplyPlan plan)
    {
        var keys = new HashSet<RowKey>();
        foreach (var write in plan.Writes)
        {
            if (write is SetOverride or SetSiblings or SetLoser && KeyOf(write) is { } key) keys.Add(key);
        }

        return keys;
    }

    private bool TryAddToSets(PlannedWrite write, HashSet<RowKey> apart)
    {
        if (write is not (InsertRow or UpdateRow or DeleteRow) || !write.Table.IsWrittenInAnyOrder) return false;
        if (KeyOf(write) is not { } key || apart.Contains(key)) return false;
        if (_sets.TryAdd(key, write)) return true;
        // It comes after what the sets hold of its row.
        AppendSets();
        return false;
    }

    private void AppendSets()
    {
        foreach (var set in _sets.Take(isGuarded: false)) _pending.Add((set.ToCommand(null), set.Rows, set.First));
    }

    /// <summary>See <see cref="IApplySession.Prepare"/>.</summary>
    public void Prepare(ApplyPlan plan)
    {
        var gathered = Interlocked.Exchange(ref _spare, null) ?? new RowSets(catalog);
        plan.Prepared = new PreparedSets(gathered, Gather(plan, gathered) ? gathered.Take(isGuarded: true) : null);
    }

    private static bool Gather(ApplyPlan plan, RowSets sets)
    {
        foreach (var write in plan.Writes)
        {
            if (KeyOf(write) is not { } key || !sets.TryAdd(key, write)) return false;
        }

        return true;
    }

    /// <summary>See <see cref="IApplySession.TryWriteSeenAsync"/>.</summary>
    public async ValueTask<bool> TryWriteSeenAsync(ApplyPlan plan, SeenGuard guard, IReadOnlyList<NpgsqlBatchCommand> prefix, CancellationToken cancellationToken)
    {
        if (_hasOwnOverrides || _hasOwnSiblings) return false;
        if (plan.Prepared is not PreparedSets) Prepare(plan);
        var (gathered, sets) = (PreparedSets)plan.Prepared!;
        plan.Prepared = null;
        try
        {
            return sets is not null && await TryWriteSeenAsync(plan, sets, guard, prefix, cancellationToken);
        }
        finally
        {
            gathered.Clear();
            Interlocked.CompareExchange(ref _spare, gathered, null);
        }
    }

    private async ValueTask<bool> TryWriteSeenAsync(ApplyPlan plan, List<RowSet> sets, SeenGuard guard, IReadOnlyList<NpgsqlBatchCommand> prefix, CancellationToken cancellationToken)
    {
        _pending.Clear();
        AddBeginning(prefix);
        var hasCopied = false;
        try
        {
            foreach (var set in sets)
            {
                if (set.Copy is not { } copy)
                {
                    _pending.Add((set.ToCommand(guard), set.Rows, set.First));
                    continue;
                }

                // In its place: a later set may write its rows again.
                if (_pending.Count > 0 && !await TrySendAsync(null, cancellationToken)) return false;
                await CopyAsync(copy.Statements, copy.Mask, copy.Lines, cancellationToken);
                hasCopied = true;
            }

            return await TrySendAsync(Unexpected(plan, hasCopied), cancellationToken);
        }
        catch (PostgresException e) when (PostgresErrors.KindOf(e.SqlState) == ReplicationErrorKind.ApplyRefused)
        {
            // The exact way finds out what it is.
            return false;
        }
    }

    private static NpgsqlBatchCommand Unexpected(ApplyPlan plan, bool hasCopied)
    {
        var tables = plan.Writes.Select(static w => w.Table).Distinct().Select(static t => t.Name).ToList();
        return hasCopied
            ? SqlParameters.Command(UnexpectedSql + TriggersSql + " AS unexpected", SqlParameters.Texts([.. tables.Select(static t => t.ToString())]), SqlParameters.Texts([.. tables.Select(PostgresNames.Quote)]))
            : SqlParameters.Command(UnexpectedSql + " AS unexpected", SqlParameters.Texts([.. tables.Select(static t => t.ToString())]));
    }

    /// <summary>False where a write hit other rows than it must, or where <paramref name="unexpected"/> finds something.</summary>
    private async ValueTask<bool> TrySendAsync(NpgsqlBatchCommand? unexpected, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        foreach (var (command, _, _) in _pending) batch.BatchCommands.Add(command);
        if (unexpected is not null) batch.BatchCommands.Add(unexpected);
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            do
            {
                if (reader.FieldCount == 1 && reader.GetName(0) == "unexpected" && await reader.ReadAsync(cancellationToken) && reader.GetBoolean(0)) return false;
            }
            while (await reader.NextResultAsync(cancellationToken));
        }

        if (_pending.Exists(static p => p.Write is not null && p.Command.RecordsAffected != p.Rows)) return false;
        _pending.Clear();
        return true;
    }

    private async ValueTask CopyAsync(ApplyStatements statements, string mask, ReadOnlyMemory<byte> lines, CancellationToken cancellationToken)
    {
        var interrupting = Task.CompletedTask;
        try
        {
            // It may wait for a lock, and its end takes no token.
            await using var cancellation = cancellationToken.UnsafeRegister(_ => interrupting = interrupt(), null);
            var writer = await connection.BeginTextImportAsync(statements.CopyIn(mask), cancellationToken);
            // The lines are UTF-8 already: they go past the writer's encoder. Nor is it disposed, which would block a thread until the server is done.
            await using var stream = ((StreamWriter)writer).BaseStream;
            await stream.WriteAsync(lines, cancellationToken);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.QueryCanceled && cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException(e.MessageText, e, cancellationToken);
        }
        finally
        {
            await interrupting;
        }
    }

    /// <summary>Adds what was received to what the transaction writes. The last part goes with the commit, which is a round trip less.</summary>
    public async ValueTask KeepAsync(ChangeTransaction part, NpgsqlBatchCommand? prefix, CancellationToken cancellationToken)
    {
        _messages.AddRange(ReceivedParts.Write(_encoder.Encode(part)));
        if (part.IsLastPart) return;
        await using var batch = new NpgsqlBatch(connection);
        if (prefix is not null) batch.BatchCommands.Add(prefix);
        foreach (var message in TakeMessages()) batch.BatchCommands.Add(message);
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>The logical messages that remain to be written before the commit.</summary>
    public IEnumerable<NpgsqlBatchCommand> TakeMessages()
    {
        // Capture must hear of the commit, also where it writes nothing, or a table that is not published (any more): progress is what the log shows.
        if (_messages.Count == 0) return [new NpgsqlBatchCommand($"SELECT pg_logical_emit_message(true, '{PostgresNames.MessagePrefix}', '')")];
        NpgsqlBatchCommand[] messages = [.. _messages];
        _messages.Clear();
        return messages;
    }

    private void Append(PlannedWrite write)
    {
        var table = write.Table.Name;
        var statements = catalog.StatementsOf(write.Table);
        switch (write)
        {
            case InsertRow insert:
                AppendRowWrite(write, insert.Table, KeyOf(insert), statements.Insert(insert.Values));
                break;
            case UpdateRow update when statements.Update(update.Key, update.Values) is { } command:
                AppendRowWrite(write, update.Table, update.Key, command);
                break;
            case UpdateRow update:
                AppendRowWrite(write, update.Table, update.Key, statements.Delete(update.Key));
                AppendRowWrite(write, update.Table, update.Key, statements.Insert([ColumnValue.Of(update.Key.Values[0])]));
                break;
            case DeleteRow delete:
                AppendRowWrite(write, delete.Table, delete.Key, statements.Delete(delete.Key));
                break;
            case TruncateTable truncate:
                if (truncate.Partition is not null) break;
                Add(TombstoneTable.Set(table, "", truncate.Version));
                if (truncate.Table.HasUniqueKeys) Add(LoserTable.Truncate(table, truncate.Version));
                break;
            case SetOverride { Version: { } version } set:
                _hasOwnOverrides = true;
                Add(set.IsKept ? OverrideTable.Keep(table, set.Key.ToText(), version, set.Xid) : OverrideTable.Set(table, set.Key.ToText(), version));
                break;
            case SetLoser { Loser: not null } set:
                Add(LoserTable.Set(set));
                break;
            case SetLoser drop:
                Add(LoserTable.Drop(table, drop.Key.ToText()));
                break;
            case SetOverride drop:
                Add(OverrideTable.Drop(table, drop.Key.ToText()));
                break;
            case SetSiblings { Siblings.Count: > 0 } set:
                _hasOwnSiblings = true;
                Add(SiblingTable.Set(statements, set.Table, set.Key, set.Siblings));
                break;
            case SetSiblings drop:
                Add(SiblingTable.Drop(table, drop.Key.ToText()));
                break;
            default:
                throw new NotSupportedException($"A plan holds the unknown write {write.GetType().Name}.");
        }
    }

    // An entry that this transaction made for the row's former state has the xid of the new state, too: it would look valid
    // (convergence R3).
    private void AppendRowWrite(PlannedWrite write, LocalTable table, RowKey? key, NpgsqlBatchCommand command)
    {
        if (key is { } known)
        {
            if (_hasOwnOverrides) Add(OverrideTable.DropOwn(table.Name, known.ToText()));
            if (_hasOwnSiblings) Add(SiblingTable.DropOwn(table.Name, known.ToText()));
        }

        _pending.Add((command, 1, write));
    }

    private static RowKey? KeyOf(PlannedWrite write) => write switch
    {
        InsertRow insert => KeyOf(insert),
        UpdateRow update => update.Key,
        DeleteRow delete => delete.Key,
        SetOverride set => set.Key,
        SetSiblings set => set.Key,
        SetLoser set => set.Key,
        _ => null,
    };

    private static RowKey? KeyOf(InsertRow insert)
    {
        if (insert.Key is { } key) return key;
        var values = new string[insert.Table.KeyOrdinals.Count];
        for (var i = 0; i < values.Length; i++)
        {
            // A key left to its default is a new one: nothing is stored under it.
            if (insert.Values[insert.Table.KeyOrdinals[i]].Text is not { } text) return null;
            values[i] = text;
        }

        return new RowKey(insert.Table.Name, values);
    }

    private void Add(NpgsqlBatchCommand command) => _pending.Add((command, 0, null));

    private async ValueTask SendAsync(CancellationToken cancellationToken)
    {
        if (_pending.Count == 0) return;
        await using var batch = new NpgsqlBatch(connection);
        foreach (var (command, _, _) in _pending) batch.BatchCommands.Add(command);
        try
        {
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException e)
        {
            var (_, rows, failed) = _pending.Find(p => ReferenceEquals(p.Command, e.BatchCommand));
            // Which row it is, and whether another order would do, shows when they are written one by one.
            if (rows > 1 && PostgresErrors.Translate(e, $"applying {rows} rows to {failed!.Table} at once") is { Kind: ReplicationErrorKind.ApplyRefused } refused) throw new RowSetRefusedException(refused.Message, refused.InnerException);
            throw await ExplainAsync(e, failed, cancellationToken);
        }

        foreach (var (command, rows, write) in _pending)
        {
            if (write is null) continue;
            if (command.RecordsAffected == rows) continue;
            throw write is InsertRow
                ? new ReplicationException(ReplicationErrorKind.ApplyRefused,
                    $"Inserting into {write.Table}: a trigger (ENABLE ALWAYS or REPLICA) kept the row out. Let it pass replicated rows.")
                : new ReplicationException(ReplicationErrorKind.Transient,
                    $"A row of {write.Table} changed under the lock ({write.GetType().Name} hit {command.RecordsAffected} of {rows} rows); it is read again.");
        }

        _pending.Clear();
    }

    // A taken primary key means that a local transaction inserted the row after it was looked for: reading again finds it. Who has any other
    // unique key must be looked for.
    private async ValueTask<ReplicationException> ExplainAsync(PostgresException e, PlannedWrite? failed, CancellationToken cancellationToken)
    {
        var doing = failed is null ? "writing what belongs to an applied transaction" : $"applying to {failed.Table}";
        if (e.SqlState != PostgresErrorCodes.UniqueViolation || failed is null || e.ConstraintName is null) return PostgresErrors.Translate(e, doing);

        // The transaction is lost; only outside of it can the catalog be asked. A partition's index has a name of its own.
        await using (var rollback = new NpgsqlCommand("ROLLBACK", connection)) await rollback.ExecuteNonQueryAsync(cancellationToken);
        await using var command = new NpgsqlCommand(
            """
            SELECT i.indisprimary
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = $2 AND COALESCE(pg_partition_root(i.indrelid), i.indrelid) = to_regclass($3)
            """, connection);
        command.Parameters.Add(SqlParameters.Text(e.SchemaName));
        command.Parameters.Add(SqlParameters.Text(e.ConstraintName));
        command.Parameters.Add(SqlParameters.Text(PostgresNames.Quote(failed.Table.Name)));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var isFound = await reader.ReadAsync(cancellationToken);
        if (isFound && reader.GetBoolean(0)) return PostgresErrors.Refusal(ReplicationErrorKind.Transient, e, $"{doing}, where a concurrent local insert took the primary key");
        var refusal = PostgresErrors.Refusal(ReplicationErrorKind.ApplyRefused, e, doing);
        return isFound ? new UniqueKeyTakenException(failed.Table.Name, refusal.Message, refusal.InnerException) : refusal;
    }

    /// <param name="Gathered">Holds the values.</param>
    /// <param name="Sets">Null where a write can be in none.</param>
    private sealed record PreparedSets(RowSets Gathered, List<RowSet>? Sets);
}
