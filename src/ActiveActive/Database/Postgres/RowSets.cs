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
    private readonly Dictionary<RowKey, int> _rounds = [];
    private readonly List<Dictionary<RowKey, PlannedWrite>> _writes = [];

    /// <summary>Takes a write of a row; false where it must be performed by itself.</summary>
    public bool TryAdd(RowKey key, PlannedWrite write)
    {
        if (write is UpdateRow update && !catalog.StatementsOf(update.Table).CanUpdateMany(update.Values)) return false;
        if (write is InsertRow insert && Array.TrueForAll(insert.Values, static v => v.IsUnchanged)) return false;
        if (!_rounds.TryGetValue(key, out var round))
        {
            Put(key, write, 0);
        }
        else if (Join(_writes[round][key], write) is { } joined)
        {
            _writes[round][key] = joined;
        }
        else
        {
            Put(key, write, round + 1);
        }

        return true;
    }

    /// <summary>The statements, with how many rows each must hit. Then it is empty again.</summary>
    /// <param name="guard">What rows that are updated or deleted must be like besides; null for nothing.</param>
    public IEnumerable<(NpgsqlBatchCommand Command, int Rows, PlannedWrite First)> TakeStatements(SeenGuard? guard = null)
    {
        foreach (var round in _writes)
        {
            foreach (var table in round.GroupBy(static w => w.Value.Table))
            {
                var statements = catalog.StatementsOf(table.Key);
                foreach (var statement in Deletes(table, statements, guard).Concat(Updates(table, statements, guard)).Concat(Inserts(table, statements))) yield return statement;
            }
        }

        ForgetWrites();
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
        _rounds.Clear();
    }

    private void Put(RowKey key, PlannedWrite write, int round)
    {
        if (_writes.Count == round) _writes.Add([]);
        _writes[round].Add(key, write);
        _rounds[key] = round;
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

    private IEnumerable<(NpgsqlBatchCommand, int, PlannedWrite)> Deletes(IEnumerable<KeyValuePair<RowKey, PlannedWrite>> writes, ApplyStatements statements, SeenGuard? guard)
    {
        var deletes = writes.Where(static w => w.Value is DeleteRow).ToList();
        if (deletes.Count >= FewestRows || (guard is not null && deletes.Count > 0))
        {
            yield return (statements.DeleteMany([.. deletes.Select(static d => d.Key)], guard, _literals), deletes.Count, deletes[0].Value);
            yield break;
        }

        foreach (var (key, write) in deletes) yield return (statements.Delete(key), 1, write);
    }

    private IEnumerable<(NpgsqlBatchCommand, int, PlannedWrite)> Updates(IEnumerable<KeyValuePair<RowKey, PlannedWrite>> writes, ApplyStatements statements, SeenGuard? guard)
    {
        foreach (var alike in writes.Where(static w => w.Value is UpdateRow).GroupBy(static w => ApplyStatements.MaskOf(((UpdateRow)w.Value).Values)))
        {
            var updates = alike.Select(static w => (w.Key, Update: (UpdateRow)w.Value)).ToList();
            if (updates.Count >= FewestRows || guard is not null)
            {
                yield return (statements.UpdateMany(alike.Key, [.. updates.Select(static u => u.Key)], [.. updates.Select(static u => u.Update.Values)], guard, _literals), updates.Count, updates[0].Update);
                continue;
            }

            foreach (var (key, update) in updates) yield return (statements.Update(key, update.Values)!, 1, update);
        }
    }

    private IEnumerable<(NpgsqlBatchCommand, int, PlannedWrite)> Inserts(IEnumerable<KeyValuePair<RowKey, PlannedWrite>> writes, ApplyStatements statements)
    {
        foreach (var alike in writes.Select(static w => w.Value).OfType<InsertRow>().GroupBy(static i => ApplyStatements.MaskOf(i.Values)))
        {
            var inserts = alike.ToList();
            if (inserts.Count >= FewestRows)
            {
                yield return (statements.InsertMany(alike.Key, [.. inserts.Select(static i => i.Values)], _literals), inserts.Count, inserts[0]);
                continue;
            }

            foreach (var insert in inserts) yield return (statements.Insert(insert.Values), 1, insert);
        }
    }
}
