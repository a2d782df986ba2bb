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

    private readonly ArrayLiterals _literals = new();
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

    /// <summary>The statements, with how many rows each must hit. Then it is empty again.</summary>
    /// <param name="guard">What rows that are updated or deleted must be like besides; null for nothing.</param>
    public IEnumerable<(NpgsqlBatchCommand Command, int Rows, PlannedWrite First)> TakeStatements(SeenGuard? guard = null)
    {
        var sets = new Dictionary<(int Round, LocalTable Table), TableWrites>();
        foreach (var (key, write, round) in _writes)
        {
            ref var writes = ref CollectionsMarshal.GetValueRefOrAddDefault(sets, (round, write.Table), out _);
            (writes ??= new(catalog.StatementsOf(write.Table))).Add(key, write);
        }

        ForgetWrites();
        return sets.OrderBy(static s => s.Key.Round).SelectMany(s => s.Value.Statements(guard, _literals));
    }

    /// <summary>Forgets what was not taken, and what the statements that were taken hold: they must have been executed.</summary>
    public void Clear()
    {
        ForgetWrites();
        _literals.Clear();
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

        public IEnumerable<(NpgsqlBatchCommand, int, PlannedWrite)> Statements(SeenGuard? guard, ArrayLiterals literals)
        {
            if (_deletes.Count >= FewestRows || (guard is not null && _deletes.Count > 0))
            {
                yield return (statements.DeleteMany(_deletes.ConvertAll(static d => d.Key), guard, literals), _deletes.Count, _deletes[0].First);
            }
            else
            {
                foreach (var (key, write) in _deletes) yield return (statements.Delete(key), 1, write);
            }

            foreach (var (mask, updates) in _updates)
            {
                if (updates.Count >= FewestRows || guard is not null)
                {
                    yield return (statements.UpdateMany(mask, updates.ConvertAll(static u => u.Key), updates.ConvertAll(static u => u.Write.Values), guard, literals), updates.Count, updates[0].Write);
                    continue;
                }

                foreach (var (key, update) in updates) yield return (statements.Update(key, update.Values)!, 1, update);
            }

            foreach (var (mask, inserts) in _inserts)
            {
                if (inserts.Count >= FewestRows)
                {
                    yield return (statements.InsertMany(mask, inserts.ConvertAll(static i => i.Values), literals), inserts.Count, inserts[0]);
                    continue;
                }

                foreach (var insert in inserts) yield return (statements.Insert(insert.Values), 1, insert);
            }
        }

        private List<T> Alike<T>(Dictionary<string, List<T>> byMask, ColumnValue[] values)
        {
            ref var alike = ref CollectionsMarshal.GetValueRefOrAddDefault(byMask, statements.MaskOf(values), out _);
            return alike ??= [];
        }
    }
}
