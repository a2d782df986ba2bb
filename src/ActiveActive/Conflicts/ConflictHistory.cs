using System.Runtime.CompilerServices;
using System.Threading.Channels;
using ActiveActive.Database;

namespace ActiveActive;

/// <summary>The conflicts that a node has recorded: query the history, or watch new ones.</summary>
public sealed class ConflictHistory
{
    // A watcher that does not keep up loses the oldest of what it has not read; the history itself has everything.
    private const int WatcherCapacity = 10_000;

    private readonly ILocalDatabase _database;
    private readonly Lock _lock = new();
    private readonly List<Channel<ConflictRecord>> _watchers = [];
    private long _count;

    internal ConflictHistory(ILocalDatabase database) => _database = database;

    internal long Count => Interlocked.Read(ref _count);

    /// <summary>Reads <c>active_active.conflict</c>, newest first.</summary>
    /// <exception cref="ReplicationException">The database can't be read.</exception>
    public IAsyncEnumerable<ConflictRecord> QueryAsync(ConflictQuery? query = null, CancellationToken cancellationToken = default)
    {
        query ??= new ConflictQuery();
        ArgumentOutOfRangeException.ThrowIfLessThan(query.Limit, 1, nameof(query));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(query.Limit, 100_000, nameof(query));
        return _database.ReadConflictsAsync(query, cancellationToken);
    }

    /// <summary>
    /// Conflicts as they are recorded on this node from now on, after their transaction has committed; ends when cancelled. A reader
    /// more than 10,000 behind loses the oldest; read the history for all.
    /// </summary>
    public async IAsyncEnumerable<ConflictRecord> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var channel = Channel.CreateBounded<ConflictRecord>(new BoundedChannelOptions(WatcherCapacity) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        lock (_lock) _watchers.Add(channel);
        try
        {
            await foreach (var record in channel.Reader.ReadAllAsync(cancellationToken)) yield return record;
        }
        finally
        {
            lock (_lock) _watchers.Remove(channel);
        }
    }

    internal void Publish(IReadOnlyList<ConflictRecord> records)
    {
        Interlocked.Add(ref _count, records.Count);
        lock (_lock)
        {
            foreach (var watcher in _watchers)
            {
                foreach (var record in records) watcher.Writer.TryWrite(record);
            }
        }
    }
}
