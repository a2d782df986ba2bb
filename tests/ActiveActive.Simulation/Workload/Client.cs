using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Time;
using ActiveActive.Testing.Database;

namespace ActiveActive.Simulation.Workload;

/// <summary>One session of a node's application: transactions of one to three statements that hold their locks for a while.</summary>
internal sealed class Client(SimulatedNode node, SimulatedCluster cluster, WorkloadBudget budget)
{
    private readonly EventLoop _loop = cluster.Loop;
    private readonly SeededRandom _random = cluster.Loop.Random;
    private readonly SimulationOptions _options = cluster.Options;
    private readonly IReadOnlyList<int> _tables = [.. cluster.Options.WrittenTables.Where(t => cluster.Options.Holds(node.Index, t))];
    private readonly List<Effect> _effects = [];

    public async Task RunAsync()
    {
        while (node.IsLate && !node.HasJoined && !budget.IsTaken) await _loop.Delay(1000);
        while (budget.TryTake())
        {
            await _loop.Delay(_random.Between(0, _options.ThinkMicroseconds * 2));
            try
            {
                await TransactAsync();
            }
            catch (ReplicationException)
            {
                // The database is down, this was a deadlock's victim, or a foreign key refused it: nothing was acknowledged.
            }
            catch (Exception e)
            {
                cluster.Findings.Violation($"a client of node {node.Name} failed: {e}");
            }
        }

        budget.Leave();
    }

    private async Task TransactAsync()
    {
        using var transaction = node.Database.BeginLocal();
        _effects.Clear();
        if (_tables.Count == 0) return;
        var statements = _random.Between(1, 3);
        for (var i = 0; i < statements; i++)
        {
            await StatementAsync(transaction);
            if (_random.Chance(40)) await _loop.Delay(_random.Between(0, _options.HoldMicroseconds * 2));
        }

        if (_random.Chance(8)) return;
        await transaction.CommitAsync(commit => cluster.History.Commit(node.Index, (ulong)commit.Position, NodeClock.Since(commit.Stamp), [.. _effects]));
    }

    private async ValueTask StatementAsync(InMemoryTransaction transaction)
    {
        var table = _random.Pick(_tables);
        if (_options.Truncates && _random.Chance(_options.TruncatePercent) && !IsParent(table))
        {
            await transaction.TruncateAsync(node.Tables[table]);
            _effects.Add(new Effect(table, null, null, 0, 0, false));
            return;
        }

        var key = SimulatedTables.KeyOf(_random.Next(_options.Keys));
        var old = await transaction.ReadForUpdateAsync(node.Tables[table], RowKeyOf(table, key));
        if (old is null) await InsertAsync(transaction, table, key);
        else if (!_random.Chance(_options.DeletePercent)) await UpdateAsync(transaction, table, key, old);
        else if (_options.Keys > 1 && _random.Chance(25)) await MoveAsync(transaction, table, key, old);
        else
        {
            await LeaveAsync(transaction, table, key);
            if (!await transaction.DeleteAsync(node.Tables[table], RowKeyOf(table, key))) return;
            _effects.Add(new Effect(table, key, null, 0, 0, false));
            if (_random.Chance(30)) await InsertAsync(transaction, table, key);
        }
    }

    private async ValueTask InsertAsync(InMemoryTransaction transaction, int table, string key)
    {
        var value = table switch { SimulatedTables.UniqueDelta => NewUniqueValue(), SimulatedTables.UniqueMerge => NewTag(), _ => NewValue() };
        var amount = table switch
        {
            SimulatedTables.Unique or SimulatedTables.UniqueMerge => NewUnique(),
            SimulatedTables.UniqueDelta => NewSmallAmount(),
            SimulatedTables.Child => NewParent(transaction),
            SimulatedTables.LastUpdateWins when _options.Values => _random.Next(4),
            _ => NewAmount(),
        };
        if (await transaction.InsertAsync(node.Tables[table], Row(table, key, value, amount))) _effects.Add(new Effect(table, key, value, amount, amount, true));
    }

    private async ValueTask UpdateAsync(InMemoryTransaction transaction, int table, string key, ColumnValue[] old)
    {
        var (value, amount) = Change(table, old, out var delta);
        if (table == SimulatedTables.Child && _random.Chance(50)) amount = NewParent(transaction);
        if (await transaction.UpdateAsync(node.Tables[table], RowKeyOf(table, key), Update(table, key, value, amount, old))) _effects.Add(new Effect(table, key, value, amount, delta, false));
    }

    private async ValueTask MoveAsync(InMemoryTransaction transaction, int table, string key, ColumnValue[] old)
    {
        var target = SimulatedTables.KeyOf(_random.Next(_options.Keys));
        if (target == key) return;
        await LeaveAsync(transaction, table, key);
        var (value, amount) = Change(table, old, out _);
        if (!await transaction.UpdateAsync(node.Tables[table], RowKeyOf(table, key), Update(table, target, value, amount, old))) return;
        _effects.Add(new Effect(table, key, null, 0, 0, false));
        _effects.Add(new Effect(table, target, value, amount, amount, true));
    }

    /// <summary>A parent that goes leaves no child behind, as far as this node knows; else its foreign key would refuse that.</summary>
    private async ValueTask LeaveAsync(InMemoryTransaction transaction, int table, string parent)
    {
        if (!IsParent(table)) return;
        var children = node.Tables[SimulatedTables.Child];
        for (var i = 0; i < _options.Keys; i++)
        {
            var child = SimulatedTables.KeyOf(i);
            var row = RowKeyOf(SimulatedTables.Child, child);
            if (transaction.Read(children, row)?[2].Text != parent || await transaction.ReadForUpdateAsync(children, row) is not { } old || old[2].Text != parent) continue;
            if (_random.Chance(50))
            {
                if (await transaction.DeleteAsync(children, row)) _effects.Add(new Effect(SimulatedTables.Child, child, null, 0, 0, false));
            }
            else if (await transaction.UpdateAsync(children, row, Update(SimulatedTables.Child, child, old[1].Text!, -1, old)))
            {
                _effects.Add(new Effect(SimulatedTables.Child, child, old[1].Text!, -1, 0, false));
            }
        }
    }

    private bool IsParent(int table) => _options.Orphans is not null && table == _options.Parent;

    /// <summary>One that is there, as far as there is one; none now and then.</summary>
    private long NewParent(InMemoryTransaction transaction)
    {
        var first = _random.Next(_options.Keys);
        for (var i = 0; i < _options.Keys && !_random.Chance(10); i++)
        {
            var number = (first + i) % _options.Keys;
            if (transaction.Read(node.Tables[_options.Parent], RowKeyOf(_options.Parent, SimulatedTables.KeyOf(number))) is not null) return number;
        }

        return -1;
    }

    private (string Value, long Amount) Change(int table, ColumnValue[] old, out long delta)
    {
        var value = old[1].Text!;
        var amount = SimulatedTables.NumberOf(table, old[2].Text);
        delta = 0;
        if (SimulatedTables.HasResolver(table))
        {
            var tags = TagSet.Read(value);
            value = tags.Length > 0 && _random.Chance(25) ? TagSet.Without(value, _random.Pick(tags)) : TagSet.Union(value, table == SimulatedTables.UniqueMerge ? NewTag() : NewValue());
        }
        else if (table == SimulatedTables.UniqueDelta)
        {
            if (_random.Chance(40)) value = NewUniqueValue();
        }
        else if (_random.Chance(table == SimulatedTables.LastUpdateWins ? 70 : 40) || (table is SimulatedTables.Unique or SimulatedTables.Child && _options.Deaths))
        {
            // Of a dead node's update a large value that it left unchanged can't be fetched: the rest would wait for ever (a known limit).
            value = NewValue();
        }
        else if (table == SimulatedTables.LastUpdateWins)
        {
            // The large value stays, and the log does not tell it.
            amount = _options.Values ? _random.Next(4) : _random.Between(0, 9);
        }

        if (table is SimulatedTables.Unique or SimulatedTables.UniqueMerge && _random.Chance(50)) amount = NewUnique();
        if (SimulatedTables.HasDeltas(table) && _random.Chance(80)) delta = table == SimulatedTables.UniqueDelta ? NewSmallAmount() : NewAmount();
        return (value, amount + delta);
    }

    private string NewValue() => _random.Chance(_options.SameValuePercent) ? "same" : $"{node.Name}{budget.NextNumber()}";

    private long NewUnique() => _random.Next(_options.Keys + 1);

    private string NewUniqueValue() => $"u{NewUnique()}";

    private string NewTag() => $"t{_random.Next(4)}";

    private long NewSmallAmount() => _random.Between(-3, 3);

    private long NewAmount() => _random.Between(-99, 99);

    private RowKey RowKeyOf(int table, string key) => new(node.Tables[table].Name, [key]);

    /// <summary>What an UPDATE sets: the large value only where it is another one, since the log tells that.</summary>
    private static ColumnValue[] Update(int table, string key, string value, long amount, ColumnValue[] old)
    {
        var row = Row(table, key, value, amount);
        if (value == old[1].Text) row[1] = ColumnValue.Unchanged;
        return row;
    }

    private static ColumnValue[] Row(int table, string key, string value, long amount) => [ColumnValue.Of(key), ColumnValue.Of(value), SimulatedTables.ThirdOf(table, amount)];
}

/// <summary>How many transactions are left, for all clients together.</summary>
internal sealed class WorkloadBudget(int transactions, int clients)
{
    private int _left = transactions;
    private int _active = clients;
    private int _number;

    public bool IsSpent => _active == 0;

    public bool IsTaken => _left <= 0;

    public bool TryTake() => _left-- > 0;

    public void Leave() => _active--;

    public int NextNumber() => ++_number;
}
