using System.Threading.Channels;
using ActiveActive.Changes;

namespace ActiveActive.Apply;

/// <summary>
/// Which tables may have rows that lost a unique value. In memory, so that all others cost nothing; never too few: a table is entered BEFORE the
/// commit that stores its first loser, and leaves while no applier is under way. And which of them a local write has touched since.
/// </summary>
internal sealed class UniqueLosers
{
    private readonly Lock _lock = new();
    private readonly HashSet<TableName> _tables = [];
    private readonly HashSet<TableName> _touched = [];
    private readonly Channel<TableName> _work = Channel.CreateUnbounded<TableName>(new UnboundedChannelOptions { SingleReader = true });
    private volatile bool _isEmpty = true;
    private volatile int _keyChanges;
    private bool _isBusy;

    /// <summary>Whether nothing is left to look at.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock) return !_isBusy && _touched.Count == 0;
        }
    }

    /// <summary>The tables, in name order.</summary>
    public IReadOnlyList<TableName> Tables
    {
        get
        {
            lock (_lock) return [.. _tables.Order()];
        }
    }

    public bool IsIn(TableName table)
    {
        if (_isEmpty) return false;
        lock (_lock) return _tables.Contains(table);
    }

    /// <summary>Transactions that met a taken value: their tables are settled.</summary>
    public OriginPositions Settled { get; } = new();

    /// <summary>Transactions that decide about a key without writing a row of it: local writers of the table are kept out.</summary>
    public OriginPositions Excluding { get; } = new();

    public void Add(TableName table)
    {
        lock (_lock)
        {
            _tables.Add(table);
            _isEmpty = false;
        }
    }

    /// <summary>A table that has losers at the start: what was freed while nobody looked is looked at first.</summary>
    public void Enter(TableName table)
    {
        Add(table);
        Touch(table);
    }

    public void Remove(TableName table)
    {
        lock (_lock)
        {
            _tables.Remove(table);
            _isEmpty = _tables.Count == 0;
        }
    }

    /// <summary>A local write may have freed a value that a loser waits for, or replaced a loser.</summary>
    public void Note(ChangeTransaction part)
    {
        if (_isEmpty) return;
        foreach (var change in part.Changes)
        {
            if (IsIn(change.Relation.Root)) Touch(change.Relation.Root);
        }
    }

    /// <summary>How often unique keys were changed: what was learnt of tables before is learnt anew.</summary>
    public int KeyChanges => _keyChanges;

    /// <summary>Unique keys are others: a value may be free because its key is gone.</summary>
    public void NoteKeyChange()
    {
        Interlocked.Increment(ref _keyChanges);
        foreach (var table in Tables) Touch(table);
    }

    public void Touch(TableName table)
    {
        // A set and a queue: a table waits once, however often it is written.
        lock (_lock)
        {
            if (!_touched.Add(table)) return;
        }

        _work.Writer.TryWrite(table);
    }

    /// <summary>Waits for the next table to look at. What is written from now on is looked at once more.</summary>
    public async ValueTask<TableName> NextAsync(CancellationToken cancellationToken)
    {
        lock (_lock) _isBusy = false;
        var table = await _work.Reader.ReadAsync(cancellationToken);
        lock (_lock)
        {
            _isBusy = true;
            _touched.Remove(table);
        }

        return table;
    }
}
