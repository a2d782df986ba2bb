using System.Buffers;
using System.Diagnostics;
using System.Net.Sockets;
using System.Threading.Channels;

namespace ActiveActive.Testing;

/// <summary>
/// One direction of one connection. What is read is stamped with the time at which it is due and written then, so that latency does not limit throughput: the line holds
/// what is on its way. What the receiver does not take waits in small, as in a socket's buffer, so that the sender feels it.
/// </summary>
internal sealed class ProxyPump(Socket from, Socket to, FaultProxyDirection direction)
{
    private const int ChunkBytes = 64 << 10;
    private const long BufferedBytes = 256 << 10;
    private const long FlightBytes = 64L << 20;

    private readonly Channel<(byte[] Bytes, int Count, long Due)> _line = Channel.CreateUnbounded<(byte[], int, long)>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    private readonly Channel<bool> _taken = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private long _heldBytes;
    private volatile bool _isHeldUp;
    private volatile bool _hasLost;

    /// <summary>Whether bytes of this direction were lost: nothing passes any more, no end either.</summary>
    public bool HasLost => _hasLost || direction.LosesBytes;

    /// <summary>Returns when the sender has ended, and all has been handed on; throws where one side is reset.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reading = ReadAsync(ended.Token);
        var writing = WriteAsync(ended.Token);
        try
        {
            await await Task.WhenAny(reading, writing);
            await Task.WhenAll(reading, writing);
        }
        finally
        {
            await ended.CancelAsync();
            await Task.WhenAll(reading, writing).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            while (Interlocked.Read(ref _heldBytes) >= (_isHeldUp ? BufferedBytes : FlightBytes)) await _taken.Reader.ReadAsync(cancellationToken);
            var bytes = ArrayPool<byte>.Shared.Rent(ChunkBytes);
            var count = await from.ReceiveAsync(bytes.AsMemory(0, ChunkBytes), SocketFlags.None, cancellationToken);
            if (direction.LosesBytes) _hasLost = true;
            if (count == 0)
            {
                _line.Writer.Complete();
                return;
            }

            if (_hasLost)
            {
                direction.Lost(count);
                ArrayPool<byte>.Shared.Return(bytes);
                continue;
            }

            Interlocked.Add(ref _heldBytes, count);
            _line.Writer.TryWrite((bytes, count, direction.DueOf(count)));
        }
    }

    private async Task WriteAsync(CancellationToken cancellationToken)
    {
        await foreach (var (bytes, count, due) in _line.Reader.ReadAllAsync(cancellationToken))
        {
            while (Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), due) is { Ticks: > 0 } early)
                await Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(early.TotalMilliseconds)), cancellationToken);
            _isHeldUp = true;
            await direction.UntilFlowingAsync(cancellationToken);
            if (direction.LosesBytes) _hasLost = true;
            for (var sent = 0; sent < count && !_hasLost;) sent += await to.SendAsync(bytes.AsMemory(sent, count - sent), SocketFlags.None, cancellationToken);
            _isHeldUp = false;
            if (_hasLost) direction.Lost(count);
            else direction.Passed(count);
            ArrayPool<byte>.Shared.Return(bytes);
            Interlocked.Add(ref _heldBytes, -count);
            _taken.Writer.TryWrite(true);
        }

        // The end passes as bytes do.
        await direction.UntilFlowingAsync(cancellationToken);
        if (!HasLost) to.Shutdown(SocketShutdown.Send);
    }
}
