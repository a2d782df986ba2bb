using System.Diagnostics;
using ActiveActive.Transport;

namespace ActiveActive.Testing;

/// <summary>What a <see cref="FaultProxy"/> does with the bytes of one direction, of all connections together. Safe for concurrent use.</summary>
public sealed class FaultProxyDirection
{
    private readonly Lock _lock = new();
    private readonly PauseGate _stall = new();
    private TimeSpan _latency;
    private long _bytesPerSecond;
    private long _passedBytes;
    private long _lostBytes;
    private long _freeAt;
    private volatile bool _losesBytes;

    internal FaultProxyDirection()
    {
    }

    /// <summary>
    /// How much later bytes arrive, 0 to 1 minute, in steps of about a millisecond. It delays and does not slow down: however much is on its way arrives in time. Default: 0.
    /// </summary>
    public TimeSpan Latency
    {
        get
        {
            lock (_lock) return _latency;
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromMinutes(1));
            lock (_lock) _latency = value;
        }
    }

    /// <summary>The bandwidth in bytes per second, shared by all connections; at least 1, null for no limit. Default: null.</summary>
    public long? BytesPerSecond
    {
        get
        {
            lock (_lock) return _bytesPerSecond == 0 ? null : _bytesPerSecond;
        }

        set
        {
            if (value is { } limit) ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
            lock (_lock)
            {
                _bytesPerSecond = value ?? 0;
                _freeAt = 0;
            }
        }
    }

    /// <summary>Whether bytes wait, and arrive once this is false again: what a partition looks like that ends before anybody gives up. Default: false.</summary>
    public bool IsStalled
    {
        get => _stall.IsPaused;
        set
        {
            if (value) _stall.Pause();
            else _stall.Resume();
        }
    }

    /// <summary>
    /// Whether bytes, and ends of connections, are lost while the sender believes them sent. A connection that has lost some passes nothing of that direction ever
    /// after, since a stream can't go on behind a hole. Default: false.
    /// </summary>
    public bool LosesBytes
    {
        get => _losesBytes;
        set => _losesBytes = value;
    }

    /// <summary>Bytes that have been handed on.</summary>
    public long PassedBytes => Interlocked.Read(ref _passedBytes);

    /// <summary>Bytes that were lost.</summary>
    public long LostBytes => Interlocked.Read(ref _lostBytes);

    internal void Heal()
    {
        Latency = TimeSpan.Zero;
        BytesPerSecond = null;
        LosesBytes = false;
        IsStalled = false;
    }

    internal void Passed(int bytes) => Interlocked.Add(ref _passedBytes, bytes);

    internal void Lost(int bytes) => Interlocked.Add(ref _lostBytes, bytes);

    internal Task UntilFlowingAsync(CancellationToken cancellationToken) => _stall.WaitUntilOpenAsync(cancellationToken);

    /// <summary>When so many bytes that come now are due at the other end; a timestamp of <see cref="Stopwatch"/>.</summary>
    internal long DueOf(int bytes)
    {
        lock (_lock)
        {
            var sent = Stopwatch.GetTimestamp();
            if (_bytesPerSecond > 0)
            {
                sent = Math.Max(sent, _freeAt) + (long)((double)bytes / _bytesPerSecond * Stopwatch.Frequency);
                _freeAt = sent;
            }

            return sent + (long)(_latency.TotalSeconds * Stopwatch.Frequency);
        }
    }
}
