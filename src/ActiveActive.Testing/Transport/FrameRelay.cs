using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Channels;
using ActiveActive.Transport;

namespace ActiveActive.Testing.Transport;

/// <summary>
/// One direction of a connection on a network with faults: takes whole frames from the sender and hands them to the receiver, later, twice,
/// or not at all. A stream has no holes, so a lost frame ends the connection.
/// </summary>
internal sealed class FrameRelay(NodeName from, NodeName to, PipeReader input, PipeWriter output, LinkFaults faults, Action breakLink)
{
    // With the pipes on both sides, the room that a real connection's buffers have: a slow receiver is felt by the sender.
    private const int MostFramesUnderWay = 256;

    private readonly FrameDecoder _decoder = new(int.MaxValue) { TakesCompressed = true };
    private readonly Channel<(byte[] Frame, long Due)> _underWay = Channel.CreateBounded<(byte[], long)>(MostFramesUnderWay);
    private readonly List<byte[]> _parts = [];

    public async Task RunAsync()
    {
        // Like the acceptor, it runs on its own.
        await Task.Yield();
        await Task.WhenAll(TakeAsync(), DeliverAsync());
    }

    private async Task TakeAsync()
    {
        try
        {
            while (true)
            {
                var result = await input.ReadAsync();
                var rest = result.Buffer;
                var start = rest;
                while (_decoder.TryDecode(ref rest, out var frame))
                {
                    if (!await TakeAsync(frame!, start.Slice(start.Start, rest.Start).ToArray())) return;
                    start = rest;
                }

                input.AdvanceTo(rest.Start, rest.End);
                if (result.IsCompleted) return;
            }
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ChannelClosedException or ReplicationException)
        {
            breakLink();
        }
        finally
        {
            _underWay.Writer.TryComplete();
            await input.CompleteAsync();
        }
    }

    private async ValueTask<bool> TakeAsync(Frame frame, byte[] bytes)
    {
        var due = faults.Clock.GetTimestamp() + faults.DelayOf(from, to).Ticks;
        if (frame is not TransactionFrame { Transaction: { IsHeartbeat: false } part })
        {
            await _underWay.Writer.WriteAsync((bytes, due));
            return true;
        }

        if (faults.TakeDrop(from, to))
        {
            breakLink();
            return false;
        }

        if (part.Part == 0) _parts.Clear();
        _parts.Add(bytes);
        await _underWay.Writer.WriteAsync((bytes, due));
        if (!part.IsLastPart || !faults.TakeDuplicate(from, to)) return true;
        foreach (var again in _parts) await _underWay.Writer.WriteAsync((again, due));
        return true;
    }

    private async Task DeliverAsync()
    {
        try
        {
            await foreach (var (frame, due) in _underWay.Reader.ReadAllAsync())
            {
                var wait = due - faults.Clock.GetTimestamp();
                if (wait > 0) await Task.Delay(TimeSpan.FromTicks(wait), faults.Clock);
                if ((await output.WriteAsync(frame)).IsCompleted) break;
            }
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            breakLink();
        }
        finally
        {
            // The receiver has gone: the sender learns it at its next flush.
            _underWay.Writer.TryComplete();
            await output.CompleteAsync();
        }
    }
}
