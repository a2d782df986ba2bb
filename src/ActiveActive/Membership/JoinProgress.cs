using System.Runtime.CompilerServices;
using ActiveActive.Transport;

namespace ActiveActive.Membership;

/// <summary>How far a join is; written by those who copy, read by anyone.</summary>
internal sealed class JoinProgress(TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private long _began;
    private JoinStatus? _status;

    /// <summary>Null before anything is copied.</summary>
    public JoinStatus? Status
    {
        get
        {
            lock (_lock) return _status is null ? null : _status with { Elapsed = timeProvider.GetElapsedTime(_began) };
        }
    }

    public void Begin(NodeName donor, IReadOnlyList<TableToCopy> tables)
    {
        lock (_lock)
        {
            _began = timeProvider.GetTimestamp();
            _status = new JoinStatus { Donor = donor, Tables = tables.Count, EstimatedRows = tables.Sum(t => t.Rows), EstimatedBytes = tables.Sum(t => t.Bytes) };
        }
    }

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> CountAsync(IAsyncEnumerable<ReadOnlyMemory<byte>> chunks, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var chunk in chunks.WithCancellation(cancellationToken))
        {
            lock (_lock) _status = _status! with { Bytes = _status.Bytes + chunk.Length };
            yield return chunk;
        }
    }

    /// <summary>A table is there.</summary>
    public void Copied(long rows)
    {
        lock (_lock) _status = _status! with { CopiedTables = _status.CopiedTables + 1, Rows = _status.Rows + rows };
    }
}
