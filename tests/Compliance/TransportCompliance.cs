using System.Buffers;
using System.IO.Pipelines;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Compliance;

/// <summary>What every transport must do, run on each of them.</summary>
public abstract class TransportCompliance : IAsyncLifetime
{
    private const int LargeBytes = 20 << 20;

    /// <summary>A writer may be this far ahead of a reader that reads nothing: buffers and flow-control windows of all layers.</summary>
    private const int MaxAheadBytes = 8 << 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private ITransportUnderTest _transport = null!;

    private protected abstract ValueTask<ITransportUnderTest> StartAsync();

    public async ValueTask InitializeAsync() => _transport = await StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _transport.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Bytes_go_both_ways()
    {
        await using var pair = await OpenAsync();
        await SendAsync(pair.Dialler, "ping"u8.ToArray());
        Assert.Equal("ping"u8.ToArray(), await ReceiveAsync(pair.Acceptor, 4));
        await SendAsync(pair.Acceptor, "pong"u8.ToArray());
        Assert.Equal("pong"u8.ToArray(), await ReceiveAsync(pair.Dialler, 4));
    }

    [Fact]
    public async Task Acceptor_may_speak_first()
    {
        await using var pair = await OpenAsync();
        await SendAsync(pair.Acceptor, "hello"u8.ToArray());
        Assert.Equal("hello"u8.ToArray(), await ReceiveAsync(pair.Dialler, 5));
    }

    [Fact]
    public async Task Large_amounts_arrive_whole_both_ways_at_once()
    {
        await using var pair = await OpenAsync();
        var there = RandomBytes(1);
        var back = RandomBytes(2);
        var sending = Task.WhenAll(SendAsync(pair.Dialler, there), SendAsync(pair.Acceptor, back));
        var received = await Task.WhenAll(ReceiveAsync(pair.Acceptor, LargeBytes), ReceiveAsync(pair.Dialler, LargeBytes));
        await InTimeAsync(sending, "the writers to finish after everything was read");
        Assert.True(there.AsSpan().SequenceEqual(received[0]), "What the dialler sent arrived changed.");
        Assert.True(back.AsSpan().SequenceEqual(received[1]), "What the acceptor sent arrived changed.");
    }

    [Fact]
    public async Task Frame_of_20_MB_goes_through_a_frame_connection()
    {
        await using var pair = await OpenAsync();
        await using var sender = new FrameConnection(pair.Acceptor, "dialler", 64 << 20, s_patience, TimeProvider.System);
        await using var receiver = new FrameConnection(pair.Dialler, "acceptor", 64 << 20, s_patience, TimeProvider.System);
        var relation = new ActiveActive.Changes.Relation(new("public", "t"), new("public", "t"), [new("id", "int", 1), new("body", "text", 0)]);
        var body = new string('x', LargeBytes);
        var encoded = new TransactionEncoder(64 << 20).Encode(new ActiveActive.Changes.ChangeTransaction
        {
            Origin = new("eu"),
            Position = new(7),
            Stamp = new(1),
            Dependencies = ActiveActive.Changes.DependencyVector.Empty,
            Changes = [ActiveActive.Changes.Change.Insert(relation, [ActiveActive.Changes.ColumnValue.Of("1"), ActiveActive.Changes.ColumnValue.Of(body)])],
        });
        var writing = WriteAsync();
        var frame = Assert.IsType<TransactionFrame>(await InTimeAsync(receiver.ReadAsync(default).AsTask(), "the frame"));
        await InTimeAsync(writing, "the writer to finish after the frame was read");
        Assert.True(body == frame.Transaction.Changes[0].NewRow![1].Text, "The row arrived changed.");

        async Task WriteAsync()
        {
            await sender.WriteAsync(encoded, default);
            await sender.FlushAsync(default);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Writer_does_not_run_ahead_of_a_reader_that_does_not_read(bool diallerWrites)
    {
        await using var pair = await OpenAsync();
        var (writer, reader) = diallerWrites ? (pair.Dialler, pair.Acceptor) : (pair.Acceptor, pair.Dialler);
        var chunk = new byte[32 << 10];
        var ahead = 0;
        Task<FlushResult>? blocked = null;
        while (blocked is null)
        {
            writer.Output.Write(chunk);
            var flush = writer.Output.FlushAsync().AsTask();
            ahead += chunk.Length;
            Assert.True(ahead <= MaxAheadBytes, $"{ahead} bytes were taken although nobody reads.");

            // A flush is through or waits for the reader; there is no signal for "waits", so a second without an end counts as that.
            if (await Task.WhenAny(flush, Task.Delay(TimeSpan.FromSeconds(1))) != flush) blocked = flush;
        }

        await ReceiveAsync(reader, ahead);
        await InTimeAsync(blocked, "the writer to go on after everything was read");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Clean_close_comes_after_what_was_written(bool diallerCloses)
    {
        await using var pair = await OpenAsync();
        var (closer, other) = diallerCloses ? (pair.Dialler, pair.Acceptor) : (pair.Acceptor, pair.Dialler);
        closer.Output.Write("last words"u8);
        var closing = CloseAsync(closer, pair);
        Assert.Equal("last words"u8.ToArray(), await ReceiveAsync(other, 10));
        var end = await InTimeAsync(other.Input.ReadAsync().AsTask(), "the end of the connection");
        Assert.True(end.IsCompleted && end.Buffer.IsEmpty, "A clean close must read as an end without bytes.");
        other.Input.AdvanceTo(end.Buffer.End);
        await other.DisposeAsync();
        await InTimeAsync(closing, "the closing side to be done");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Close_of_one_side_ends_the_other_sides_writes(bool diallerCloses)
    {
        await using var pair = await OpenAsync();
        var (closer, other) = diallerCloses ? (pair.Dialler, pair.Acceptor) : (pair.Acceptor, pair.Dialler);
        var writing = WriteUntilEndAsync(other);
        await InTimeAsync(CloseAsync(closer, pair), "the closing side to be done");
        await InTimeAsync(writing, "the writer to notice that the connection has ended");
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task Abort_ends_a_waiting_read_on_either_side(bool diallerAborts, bool diallerReads)
    {
        await using var pair = await OpenAsync();
        var (aborter, reader) = (diallerAborts ? pair.Dialler : pair.Acceptor, diallerReads ? pair.Dialler : pair.Acceptor);
        await using var frames = new FrameConnection(reader, "the other side", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
        var reading = frames.ReadAsync(default).AsTask();
        aborter.Abort();
        var fault = await Assert.ThrowsAsync<ReplicationException>(() => InTimeAsync(reading, "the read to end after the abort"));
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task Abort_ends_a_waiting_write_on_either_side(bool diallerAborts, bool diallerWrites)
    {
        await using var pair = await OpenAsync();
        var (aborter, writer) = (diallerAborts ? pair.Dialler : pair.Acceptor, diallerWrites ? pair.Dialler : pair.Acceptor);
        var writing = WriteUntilEndAsync(writer);
        aborter.Abort();
        await InTimeAsync(writing, "the writer to end after the abort");
    }

    [Fact]
    public async Task Abort_and_dispose_may_come_twice()
    {
        await using var pair = await OpenAsync();
        pair.Dialler.Abort();
        pair.Dialler.Abort();
        await pair.Dialler.DisposeAsync();
        pair.Dialler.Abort();
        await pair.Dialler.DisposeAsync();
    }

    [Fact]
    public async Task Unreachable_peer_is_a_transient_fault_that_names_it()
    {
        var fault = await Assert.ThrowsAsync<ReplicationException>(() => InTimeAsync(_transport.DialUnknownAsync(), "the dial to fail"));
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
        Assert.Contains("nobody", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connections_do_not_mix()
    {
        var opened = new List<ConnectedPair>();
        for (var i = 0; i < 8; i++) opened.Add(await OpenAsync());
        await Task.WhenAll(opened.Select(async (pair, i) =>
        {
            var bytes = RandomBytes(i, 1 << 20);
            var sending = SendAsync(pair.Dialler, bytes);
            var received = await ReceiveAsync(pair.Acceptor, bytes.Length);
            await sending;
            Assert.True(bytes.AsSpan().SequenceEqual(received), $"Connection {i} received another one's bytes.");
        }));
        foreach (var pair in opened) await pair.DisposeAsync();
    }

    [Fact]
    public async Task Stalled_connection_does_not_stop_another()
    {
        await using var stalled = await OpenAsync();
        await using var lively = await OpenAsync();
        var writing = WriteUntilEndAsync(stalled.Acceptor);
        var bytes = RandomBytes(3);
        var sending = SendAsync(lively.Acceptor, bytes);
        var received = await ReceiveAsync(lively.Dialler, bytes.Length);
        await sending;
        Assert.True(bytes.AsSpan().SequenceEqual(received), "What the acceptor sent arrived changed.");
        stalled.Dialler.Abort();
        await InTimeAsync(writing, "the stalled writer to end after the abort");
    }

    private Task<ConnectedPair> OpenAsync() => InTimeAsync(_transport.OpenAsync(), "a connection");

    private static async Task CloseAsync(IPeerConnection closer, ConnectedPair pair)
    {
        await closer.DisposeAsync();

        // The accepting side is done when its acceptor returns.
        if (closer == pair.Acceptor) pair.EndAcceptor();
    }

    private static async Task SendAsync(IPeerConnection connection, ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var size = Math.Min(bytes.Length, 64 << 10);
            var result = await InTimeAsync(connection.Output.WriteAsync(bytes[..size]).AsTask(), $"{size} bytes to be taken");
            Assert.False(result.IsCompleted, "The connection ended while it was written to.");
            bytes = bytes[size..];
        }
    }

    private static async Task<byte[]> ReceiveAsync(IPeerConnection connection, int count)
    {
        var bytes = new byte[count];
        var filled = 0;
        while (filled < count)
        {
            var result = await InTimeAsync(connection.Input.ReadAsync().AsTask(), $"{count - filled} more bytes");
            var taken = result.Buffer.Slice(0, Math.Min(result.Buffer.Length, count - filled));
            taken.CopyTo(bytes.AsSpan(filled));
            filled += (int)taken.Length;
            connection.Input.AdvanceTo(taken.End);
            Assert.True(filled == count || !result.IsCompleted, $"The connection ended {count - filled} bytes early.");
        }

        return bytes;
    }

    /// <summary>Ends where the connection does; a writer learns it by a result or by a fault.</summary>
    private static async Task WriteUntilEndAsync(IPeerConnection connection)
    {
        await Task.Yield();
        await using var frames = new FrameConnection(connection, "the other side", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () =>
        {
            while (true)
            {
                await frames.WriteAsync(new RefuseFrame("filler", new string('x', 4_000)), default);
                await frames.FlushAsync(default);
            }
        });
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
    }

    private static byte[] RandomBytes(int seed, int count = LargeBytes)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task<T> InTimeAsync<T>(Task<T> task, string missing)
    {
        await InTimeAsync((Task)task, missing);
        return await task;
    }

    private static async Task InTimeAsync(Task task, string missing)
    {
        try
        {
            await task.WaitAsync(s_patience);
        }
        catch (TimeoutException) when (!task.IsCompleted)
        {
            Assert.Fail($"Waited {s_patience} for {missing}.");
        }
    }
}
