using System.Runtime.InteropServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Gathers the row writes of a plan into few statements, each for many rows: a key is written once in each round, writes that follow each other
/// on one key become one where that leaves the same row, and the others go to a later round. Rows under different keys can be written in any order, since
/// tables whose rows depend on each other (<see cref="LocalTable.IsWrittenInAnyOrder"/>) are left out.
/// </summary>
internal sealed class RowSets(LocalTableCatalog catalog)
{
    // Below it single statements are as fast, and their texts are used again.
    private const int FewestRows = 4;

    // COPY takes a few round trips.
    private const int FewestCopied = 1000;

    private readonly ArrayLiterals _literals = new();
    private readonly CopyLines _lines = new();
    private readonly List<(RowKey Key, PlannedWrite Write, int Round)> _writes = [];

    // Where the last write of a key stands.
    private readonly Dictionary<RowKey, int> _last = [];

    /// <summary>Takes a write of a row; false where it must be performed by itself.</summary>
    public bool TryAdd(RowKey key, PlannedWrite write)
    {
        if (write is UpdateRow update && !catalog.StatementsOf(update.Table).CanUpdateMany(update.Values)) return false;
        if (write is InsertRow insert && Array.TrueForAll(insert.Values, static v => v.IsUnchanged)) return false;
        ref var at = ref CollectionsMarshal.GetValueRefOrAddDefault(_last, key, out var isWritten);
        if (isWritten && Join(_writes[at].Write, write) is { } joined)
        {
            _writes[at] = _writes[at] with { Write = joined };
            return true;
        }

        var round = isWritten ? _writes[at].Round + 1 : 0;
        at = _writes.Count;
        _writes.Add((key, write, round));
        return true;
    }

    /// <summary>What was added, as sets. Then it is empty again, but for what the sets hold of it.</summary>
    /// <param name="isGuarded">Whether each row must be like something besides (<see cref="SeenGuard"/>): then few are a set, too.</param>
    public List<RowSet> Take(bool isGuarded)
    {
        var tables = new Dictionary<(int Round, LocalTable Table), TableWrites>();
        foreach (var (key, write, round) in _writes)
        {
            ref var writes = ref CollectionsMarshal.GetValueRefOrAddDefault(tables, (round, write.Table), out _);
            (writes ??= new(catalog.StatementsOf(write.Table))).Add(key, write);
        }

        ForgetWrites();
        return [.. tables.OrderBy(static t => t.Key.Round).SelectMany(t => t.Value.Sets(isGuarded, _literals, _lines))];
    }

    /// <summary>Forgets what was not taken, and what the statements that were taken hold: they must have been executed.</summary>
    public void Clear()
    {
        ForgetWrites();
        _literals.Clear();
        _lines.Clear();
    }

    private void ForgetWrites()
    {
        _writes.Clear();
        _last.Clear();
    }

    /// <summary>
    /// Two writes on one key as one; null where there is none. An insert is never left out: it takes the key's place in the index, which is what
    /// shows a concurrent local insert (see <c>ApplyWorker.VerifyInsertsAsync</c>).
    /// </summary>
    private static PlannedWrite? Join(PlannedWrite first, PlannedWrite second) => (first, second) switch
    {
        (InsertRow insert, UpdateRow update) => insert with { Values = RowImages.Overlay(insert.Values, update.Values) },
        (UpdateRow earlier, UpdateRow later) => later with { Values = RowImages.Overlay(earlier.Values, later.Values) },
        (UpdateRow, DeleteRow delete) => delete,
        _ => null,
    };

    /// <summary>The writes of one table in one round.</summary>
    private sealed class TableWrites(ApplyStatements statements)
    {
        private readonly List<(RowKey Key, PlannedWrite First)> _deletes = [];
        private string _lastMask = "";

        // By the columns that are set.
        private readonly Dictionary<string, List<(RowKey Key, UpdateRow Write)>> _updates = new(StringComparer.Ordinal);
        private readonly Dictionary<string, List<InsertRow>> _inserts = new(StringComparer.Ordinal);

        public void Add(RowKey key, PlannedWrite write)
        {
            switch (write)
            {
                case DeleteRow:
                    _deletes.Add((key, write));
                    break;
                case UpdateRow update:
                    Alike(_updates, update.Values).Add((key, update));
                    break;
                case InsertRow insert:
                    Alike(_inserts, insert.Values).Add(insert);
                    break;
            }
        }

        public IEnumerable<RowSet> Sets(bool isGuarded, ArrayLiterals literals, CopyLines lines)
        {
            if (_deletes.Count >= FewestRows || (isGuarded && _deletes.Count > 0))
            {
                var parameters = statements.Parameters("", _deletes.ConvertAll(static d => d.Key), [], literals);
                yield return new(_deletes.Count, _deletes[0].First, guard => statements.DeleteMany(parameters, guard));
            }
            else
            {
                foreach (var (key, write) in _deletes) yield return new(1, write, _ => statements.Delete(key));
            }

            foreach (var (mask, updates) in _updates)
            {
                if (updates.Count >= FewestRows || isGuarded)
                {
                    var parameters = statements.Parameters(mask, updates.ConvertAll(static u => u.Key), updates.ConvertAll(static u => u.Write.Values), literals);
                    yield return new(updates.Count, updates[0].Write, guard => statements.UpdateMany(mask, parameters, guard));
                    continue;
                }

                foreach (var (key, update) in updates) yield return new(1, update, _ => statements.Update(key, update.Values)!);
            }

            foreach (var (mask, inserts) in _inserts)
            {
                if (isGuarded && inserts.Count >= FewestCopied)
                {
                    yield return new(inserts.Count, inserts[0], _ => throw new InvalidOperationException("Rows to be copied have no command."))
                    {
                        Copy = (statements, mask, lines.Of(inserts.ConvertAll(static i => i.Values), ApplyStatements.Ordinals(mask))),
                    };
                    continue;
                }

                if (inserts.Count >= FewestRows)
                {
                    var parameters = statements.Parameters(mask, null, inserts.ConvertAll(static i => i.Values), literals);
                    yield return new(inserts.Count, inserts[0], _ => statements.InsertMany(mask, parameters));
                    continue;
                }

                foreach (var insert in inserts) yield return new(1, insert, _ => statements.Insert(insert.Values));
            }
        }

        private List<T> Alike<T>(Dictionary<string, List<T>> byMask, ColumnValue[] values)
        {
            ref var alike = ref CollectionsMarshal.GetValueRefOrAddDefault(byMask, ApplyStatements.MaskOf(values, ref _lastMask), out _);
            return alike ??= [];
        }
    }
}

/// <summary>One statement of a plan, whose values are ready to be sent.</summary>
/// <param name="Rows">How many rows it must hit.</param>
/// <param name="First">The write of the first of them.</param>
/// <param name="ToCommand">The statement, with what the rows must be like besides; null for nothing. To be called once, where the session's statements may be used.</param>
internal sealed record RowSet(int Rows, PlannedWrite First, Func<SeenGuard?, NpgsqlBatchCommand> ToCommand)
{
    /// <summary>Instead of a command: rows that COPY inserts, and the columns that they set.</summary>
    public (ApplyStatements Statements, string Mask, ReadOnlyMemory<byte> Lines)? Copy { get; init; }
}
