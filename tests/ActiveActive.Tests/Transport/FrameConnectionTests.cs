using System.IO.Pipelines;
using ActiveActive.Changes;
using ActiveActive.Transport;
using Microsoft.Extensions.Time.Testing;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

public sealed class FrameConnectionTests
{
    private static readonly TimeSpan s_readTimeout = TimeSpan.FromSeconds(10);

    private readonly FakeTimeProvider _time = new();
    private readonly Pipe _inbound = new(new PipeOptions(pauseWriterThreshold: 0));
    private readonly Pipe _outbound = new(new PipeOptions(pauseWriterThreshold: 0));

    [Fact]
    public async Task Clean_end_reads_as_null()
    {
        await using var connection = Connect();
        await _inbound.Writer.WriteAsync(FrameCodec.Encode(Ack));
        await _inbound.Writer.CompleteAsync();
        Assert.Equal(Ack, await connection.ReadAsync(default));
        Assert.Null(await connection.ReadAsync(default));
    }

    [Fact]
    public async Task End_within_a_frame_is_a_lost_connection()
    {
        await using var connection = Connect();
        await _inbound.Writer.WriteAsync(FrameCodec.Encode(Hello).AsMemory()[..^1]);
        await _inbound.Writer.CompleteAsync();
        Assert.Equal(ReplicationErrorKind.Transient, (await FaultOf(connection)).Kind);
    }

    [Fact]
    public async Task Garbage_is_corrupt_and_names_the_peer()
    {
        await using var connection = Connect();
        await _inbound.Writer.WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
        var fault = await FaultOf(connection);
        Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
        Assert.Contains("the peer", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Silence_ends_the_connection_and_every_byte_counts_as_life()
    {
        await using var connection = Connect();
        var reading = connection.ReadAsync(default).AsTask();
        _time.Advance(s_readTimeout - TimeSpan.FromSeconds(1));
        await _inbound.Writer.WriteAsync(FrameCodec.Encode(Ack));
        Assert.Equal(Ack, await reading);

        reading = connection.ReadAsync(default).AsTask();
        _time.Advance(s_readTimeout - TimeSpan.FromSeconds(1));
        Assert.False(reading.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(1));
        var fault = await Assert.ThrowsAsync<ReplicationException>(() => reading.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
        Assert.Contains("00:00:10", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Time_between_reads_does_not_count_as_silence()
    {
        await using var connection = Connect();
        _time.Advance(10 * s_readTimeout);
        var reading = connection.ReadAsync(default).AsTask();
        Assert.False(reading.IsCompleted);
        await _inbound.Writer.WriteAsync(FrameCodec.Encode(Ack));
        Assert.Equal(Ack, await reading);
    }

    [Fact]
    public async Task Cancelling_a_read_is_the_callers_own_cancellation()
    {
        await using var connection = Connect();
        using var cancel = new CancellationTokenSource();
        var reading = connection.ReadAsync(cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
    }

    [Fact]
    public async Task Small_frames_wait_for_the_flush()
    {
        await using var connection = Connect();
        for (var i = 0; i < 100; i++) await connection.WriteAsync(Ack, default);
        Assert.False(_outbound.Reader.TryRead(out _));
        await connection.FlushAsync(default);
        Assert.True(_outbound.Reader.TryRead(out var result));
        Assert.Equal(100 * FrameCodec.Encode(Ack).Length, result.Buffer.Length);
    }

    [Fact]
    public async Task Relation_is_announced_once_and_before_its_first_transaction()
    {
        var encoder = new TransactionEncoder(MaxFrameBytes);
        var transaction = EveryShape();
        await using var connection = Connect();
        await connection.WriteAsync(encoder.Encode(transaction), default);
        await connection.WriteAsync(encoder.Encode(transaction), default);
        await connection.FlushAsync(default);
        var written = (await _outbound.Reader.ReadAsync()).Buffer;
        var decoder = new FrameDecoder(MaxFrameBytes);
        var kinds = new List<string>();
        while (decoder.TryDecode(ref written, out var frame)) kinds.Add(frame!.GetType().Name);
        Assert.Equal([nameof(RelationFrame), nameof(TransactionFrame), nameof(TransactionFrame)], kinds);
    }

    [Fact]
    public async Task More_relations_than_fit_are_announced_again_when_they_are_needed()
    {
        // 400 tables of 1,600 columns cost more than the window holds; the reader forgets what the writer forgets.
        var columns = Enumerable.Range(0, FrameLimits.MaxColumns).Select(i => new RelationColumn($"c{i}", new string('t', 250), i == 0 ? 1 : 0)).ToArray();
        var relations = Enumerable.Range(0, 400).Select(i => new Relation(new("s", $"t{i}"), new("s", $"t{i}"), columns)).ToArray();
        Assert.True(relations.Sum(RelationWindow.CostOf) > FrameLimits.RelationWindowBytes, "The tables fit: the test tests nothing.");
        var encoder = new TransactionEncoder(MaxFrameBytes);
        EncodedTransaction Truncate(params Relation[] tables) => encoder.Encode(Heartbeat() with { IsHeartbeat = false, Changes = [.. tables.Select(Change.Truncate)] });
        await using var writer = Connect();
        var decoder = new FrameDecoder(MaxFrameBytes);
        foreach (var table in relations) await writer.WriteAsync(Truncate(table), default);

        // The first is forgotten, and announcing it again displaces the oldest one that is still known: just the one beside it here.
        var window = new RelationWindow();
        for (var i = 0; i < relations.Length; i++) window.TryAdd(i, relations[i]);
        var oldest = Enumerable.Range(0, relations.Length).First(i => window.Find(i) is not null);
        Assert.True(oldest > 1, "Nothing was forgotten: the test tests nothing.");
        var mixed = new[] { relations[oldest], relations[0], relations[^1], relations[1] };
        await writer.WriteAsync(Truncate(mixed), default);
        await writer.FlushAsync(default);
        await _outbound.Writer.CompleteAsync();

        var last = "";
        while (true)
        {
            var result = await _outbound.Reader.ReadAsync();
            var rest = result.Buffer;
            while (decoder.TryDecode(ref rest, out var frame)) last = Describe(frame!);
            _outbound.Reader.AdvanceTo(rest.Start, rest.End);
            if (result.IsCompleted) break;
        }

        Assert.Equal(Describe(Heartbeat() with { IsHeartbeat = false, Changes = [.. mixed.Select(Change.Truncate)] }), last);
    }

    [Fact]
    public async Task Numbers_of_two_encoders_do_not_mix_on_a_connection()
    {
        await using var connection = Connect();
        await connection.WriteAsync(new TransactionEncoder(MaxFrameBytes).Encode(EveryShape()), default);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await connection.WriteAsync(new TransactionEncoder(MaxFrameBytes).Encode(EveryShape()), default));
    }

    [Fact]
    public async Task Second_reader_is_told_so()
    {
        await using var connection = Connect();
        var reading = connection.ReadAsync(default).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await connection.ReadAsync(default));
        await _inbound.Writer.CompleteAsync();
        Assert.Null(await reading);
    }

    [Fact]
    public async Task Second_writer_is_told_so()
    {
        var narrow = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        await using var connection = new FrameConnection(new Ends(_inbound.Reader, narrow.Writer), "the peer", MaxFrameBytes, s_readTimeout, _time);
        await connection.WriteAsync(Ack, default);
        var flushing = connection.FlushAsync(default).AsTask();
        Assert.False(flushing.IsCompleted);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await connection.WriteAsync(Ack, default));
        await narrow.Reader.CompleteAsync();
        await Assert.ThrowsAsync<ReplicationException>(() => flushing);
    }

    [Fact]
    public async Task Write_after_the_other_side_has_gone_is_a_lost_connection()
    {
        await using var connection = Connect();
        await _outbound.Reader.CompleteAsync();
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () =>
        {
            await connection.WriteAsync(Ack, default);
            await connection.FlushAsync(default);
        });
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
    }

    private FrameConnection Connect() => new(new Ends(_inbound.Reader, _outbound.Writer), "the peer", MaxFrameBytes, s_readTimeout, _time);

    private static Task<ReplicationException> FaultOf(FrameConnection connection) =>
        Assert.ThrowsAsync<ReplicationException>(async () => await connection.ReadAsync(default));

    private sealed class Ends(PipeReader input, PipeWriter output) : IPeerConnection
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;

        public void Abort() => input.CancelPendingRead();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
