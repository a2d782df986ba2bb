using System.IO.Pipelines;

namespace ActiveActive.Transport;

/// <summary>
/// Ends a read that waits too long. One timer serves all reads of a connection, so that a wait costs no allocation.
/// </summary>
internal sealed class ReadDeadline : IAsyncDisposable
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(1);

    private readonly PipeReader _input;
    private readonly TimeProvider _time;
    private readonly ITimer? _timer;
    private long _waitingSince;
    private volatile bool _isWaiting;
    private volatile bool _hasExpired;

    public ReadDeadline(PipeReader input, TimeSpan timeout, TimeProvider time)
    {
        _input = input;
        _time = time;
        Timeout = timeout;
        if (timeout == System.Threading.Timeout.InfiniteTimeSpan) return;
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(timeout, TimeSpan.Zero);
        _timer = time.CreateTimer(static self => ((ReadDeadline)self!).Expire(), this, System.Threading.Timeout.InfiniteTimeSpan, System.Threading.Timeout.InfiniteTimeSpan);
    }

    public TimeSpan Timeout { get; }

    /// <summary>Whether a read was ended by the deadline; its result reads as cancelled. Stays so: the connection is done for.</summary>
    public bool HasExpired => _hasExpired;

    public async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken)
    {
        if (_timer is null) return await _input.ReadAsync(cancellationToken);
        Volatile.Write(ref _waitingSince, _time.GetTimestamp());
        _isWaiting = true;
        _timer.Change(Timeout, System.Threading.Timeout.InfiniteTimeSpan);
        try
        {
            return await _input.ReadAsync(cancellationToken);
        }
        finally
        {
            _isWaiting = false;
            _timer.Change(System.Threading.Timeout.InfiniteTimeSpan, System.Threading.Timeout.InfiniteTimeSpan);
        }
    }

    public ValueTask DisposeAsync() => _timer?.DisposeAsync() ?? ValueTask.CompletedTask;

    private void Expire()
    {
        if (!_isWaiting) return;
        // A timer that was already on its way when its read ended must not cut the next read short. And one may fire early: it counts by a coarser clock.
        var left = Timeout - _time.GetElapsedTime(Volatile.Read(ref _waitingSince));
        if (left > TimeSpan.Zero)
        {
            _timer!.Change(left + s_tick, System.Threading.Timeout.InfiniteTimeSpan);
            return;
        }

        _hasExpired = true;
        _input.CancelPendingRead();
    }
}
