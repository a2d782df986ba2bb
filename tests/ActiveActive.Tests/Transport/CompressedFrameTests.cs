using System.Buffers;
using System.IO.Compression;
using System.IO.Pipelines;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Transport;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

/// <summary>Transactions that go compressed: made once, read as they were, and no way to make the reader take more memory than it is sent.</summary>
public sealed class CompressedFrameTests
{
    private static readonly Relation s_accounts = Accounts();

    [Theory]
    [InlineData(1, int.MaxValue)]
    [InlineData(1, 7)]
    [InlineData(40, int.MaxValue)]
    [InlineData(40, 1)]
    public void Transactions_come_back_as_they_went(int count, int segmentBytes)
    {
        var transactions = Transactions(count, rows: 40 / count * 40).ToList();
        var bytes = Encode(transactions);
        Assert.True(bytes.Length < Encoded(transactions).Sum(t => t.LengthBytes) / 2, "Nothing was gained: the test tests nothing.");
        Assert.Equal(transactions.Select(Describe), Read(bytes, segmentBytes));
    }

    [Fact]
    public void What_is_small_or_full_of_chance_or_of_nothing_goes_as_it_is()
    {
        var random = new Random(1);
        Assert.Null(TryEncode(Transactions(1, 1)));
        Assert.Null(TryEncode([Insert(1, string.Concat(Enumerable.Range(0, 8_000).Select(_ => (char)random.Next(1, 128))))]));
        // More than the reader would take for so few bytes.
        Assert.Null(TryEncode([Insert(1, new string(' ', 900_000))]));
        Assert.NotNull(TryEncode([Insert(1, string.Concat(Enumerable.Range(0, 1_000).Select(i => $"{i} ")))]));
    }

    [Fact]
    public void Block_is_compressed_once_whoever_asks_first()
    {
        var block = new EncodedBlock();
        foreach (var transaction in Encoded(Transactions(40, 20))) block.TryAdd(transaction);
        block.Complete();
        var made = new byte[]?[8];
        Parallel.For(0, made.Length, i => made[i] = block.FrameBytes);
        Assert.NotNull(made[0]);
        Assert.All(made, bytes => Assert.Same(made[0], bytes));
        var single = Encoded([Transactions(1, 400).Single()])[0];
        Parallel.For(0, made.Length, i => made[i] = single.CompressedFrameBytes);
        Assert.NotNull(made[0]);
        Assert.All(made, bytes => Assert.Same(made[0], bytes));
    }

    [Fact]
    public void Block_holds_no_more_than_its_limits_and_a_large_transaction_is_one_of_its_own()
    {
        var log = new ChangeLog(default, 64 << 20);
        var entries = Encoded([.. Transactions(300, 1), .. Transactions(1, 3_000), .. Transactions(300, 20)]);
        foreach (var entry in entries) log.Append(entry);
        foreach (var block in entries.Select(e => e.Block!).Distinct())
        {
            Assert.InRange(block.Transactions.Count, 1, EncodedBlock.MaxTransactions);
            Assert.True(block.Transactions.Count == 1 || block.Transactions.Sum(t => t.LengthBytes) <= EncodedBlock.MaxBytes);
        }

        Assert.Equal(entries, entries.Select(e => e.Block!).Distinct().SelectMany(b => b.Transactions));
        Assert.Single(entries[300].Block!.Transactions);
    }

    [Fact]
    public async Task Whole_blocks_go_compressed_and_the_rest_at_once()
    {
        var log = new ChangeLog(default, 64 << 20);
        var transactions = Transactions(300, 2).ToList();
        foreach (var entry in Encoded(transactions)) log.Append(entry);
        var (compressed, read) = await SendAsync(log, compresses: true);
        Assert.Equal(transactions.Select(Describe), read);
        var (plain, readPlain) = await SendAsync(log, compresses: false);
        Assert.Equal(read, readPlain);
        Assert.True(compressed < plain / 2, $"{compressed} bytes of {plain}: blocks were not used.");
    }

    [Fact]
    public void Compressed_frame_that_was_not_agreed_on_is_refused()
    {
        var bytes = new ReadOnlySequence<byte>(Encode(Transactions(40, 20)));
        var fault = Assert.Throws<ReplicationException>(() => new FrameDecoder(MaxFrameBytes).TryDecode(ref bytes, out _));
        Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
        Assert.Contains("none was agreed on", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Announced_length_beyond_the_frame_size_or_out_of_proportion_is_refused_before_allocation()
    {
        AssertCheapRefusal(CompressedFrame.Encode(MaxFrameBytes + 1, new byte[MaxFrameBytes / 2]), "at most 1048576");
        AssertCheapRefusal(CompressedFrame.Encode(MaxFrameBytes, Compress(new byte[MaxFrameBytes])), $"at most {FrameLimits.MaxExpansion} for each");
        AssertCheapRefusal(CompressedFrame.Encode(-1, new byte[100]), "a negative number");
    }

    [Fact]
    public void Content_of_another_length_than_announced_is_refused()
    {
        var payload = Encoded(Transactions(1, 100))[0].PayloadBytes.ToArray();
        AssertRefused(CompressedFrame.Encode(payload.Length - 1, Compress(payload)), "is not");
        AssertRefused(CompressedFrame.Encode(payload.Length + 1, Compress(payload)), "is not");
        AssertRefused(CompressedFrame.Encode(payload.Length, [.. Compress(payload), 0]), "is not");
        AssertRefused(CompressedFrame.Encode(payload.Length, Compress(payload).AsSpan()[..^1]), "is not");
        AssertRefused(CompressedFrame.Encode(payload.Length, payload), "is not");
        AssertRefused(CompressedFrame.Encode(0, []), "is not");
    }

    [Fact]
    public void Compressed_frame_holds_transactions_and_nothing_else()
    {
        foreach (var frame in new Frame[] { Hello, Ack, UniqueKeys, FoundRow, new RelationFrame(9, Accounts()), new PingFrame() })
        {
            var payload = FrameCodec.Encode(frame)[FrameLimits.HeaderBytes..];
            AssertRefused(CompressedFrame.Encode(payload.Length, Compress(payload)), "");
        }

        var inner = Encode(Transactions(40, 20))[FrameLimits.HeaderBytes..];
        AssertRefused(CompressedFrame.Encode(inner.Length, Compress(inner)), "Kind 11");
        byte[] trailing = [.. Encoded(Transactions(1, 1))[0].PayloadBytes.Span, 0xc0];
        var decoder = Decoder();
        Decode(decoder, CompressedFrame.Encode(trailing.Length, Compress(trailing)));
        Assert.Throws<ReplicationException>(() => decoder.TryTakeDecompressed(out _));
    }

    [Fact]
    public void Every_flipped_bit_of_the_content_is_a_frame_or_corrupt_under_a_right_checksum()
    {
        var bytes = Encode(Transactions(40, 1));
        for (var bit = 0; bit < (bytes.Length - FrameLimits.HeaderBytes) * 8; bit++)
        {
            var payload = bytes[FrameLimits.HeaderBytes..];
            payload[bit / 8] ^= (byte)(1 << (bit % 8));
            var buffer = new ArrayBufferWriter<byte>();
            FrameCodec.Begin(buffer);
            buffer.Write(payload);
            TryRead(FrameCodec.Seal(buffer));
        }
    }

    private static async Task<(long Bytes, IReadOnlyList<string> Read)> SendAsync(ChangeLog log, bool compresses)
    {
        var (there, back) = (new Pipe(new PipeOptions(pauseWriterThreshold: 0)), new Pipe());
        await using var frames = new FrameConnection(new Ends(back.Reader, there.Writer), "the peer", MaxFrameBytes, Timeout.InfiniteTimeSpan, TimeProvider.System) { SendsCompressed = compresses };
        Assert.True(log.TryOpenCursor(default, out var cursor));
        var entries = new List<EncodedTransaction>();
        Assert.True(log.TryRead(ref cursor, int.MaxValue, entries, out _));
        for (var i = 0; i < entries.Count;) i = await frames.WriteNextAsync(entries, i, default);
        await frames.FlushAsync(default);
        Assert.True(there.Reader.TryRead(out var result));
        await there.Writer.CompleteAsync();
        var bytes = result.Buffer.Length;
        there.Reader.AdvanceTo(result.Buffer.Start);
        await using var receiver = new FrameConnection(new Ends(there.Reader, back.Writer), "the peer", MaxFrameBytes, Timeout.InfiniteTimeSpan, TimeProvider.System) { TakesCompressed = compresses };
        var read = new List<string>();
        while (await receiver.ReadAsync(default) is { } frame) read.Add(Describe(frame));
        return (bytes, read);
    }

    private static IEnumerable<ChangeTransaction> Transactions(int count, int rows)
    {
        for (var i = 0; i < count; i++) yield return Insert(i + 1, [.. Enumerable.Range(0, rows).Select(row => $"note {i} of row {row}")]);
    }

    private static ChangeTransaction Insert(int position, params string[] notes) => EveryShape() with
    {
        Position = new((ulong)position),
        Part = 0,
        Changes = [.. notes.Select((note, i) => Change.Insert(s_accounts, Row($"{i}", "eu", "10.00", note)))],
    };

    private static EncodedTransaction[] Encoded(IEnumerable<ChangeTransaction> transactions)
    {
        var encoder = new TransactionEncoder(MaxFrameBytes);
        return [.. transactions.Select(encoder.Encode)];
    }

    private static byte[]? TryEncode(IEnumerable<ChangeTransaction> transactions) => CompressedFrame.TryEncode(Encoded(transactions));

    private static byte[] Encode(IEnumerable<ChangeTransaction> transactions) => TryEncode(transactions) ?? throw new InvalidOperationException("They are not worth it.");

    private static byte[] Compress(byte[] bytes)
    {
        var room = new byte[bytes.Length + 100];
        Assert.True(BrotliEncoder.TryCompress(bytes, room, out var count));
        return room[..count];
    }

    private static FrameDecoder Decoder()
    {
        var relations = new RelationWindow();
        relations.TryAdd(1, s_accounts);
        return new FrameDecoder(MaxFrameBytes, relations) { TakesCompressed = true };
    }

    private static List<string> Read(byte[] bytes, int segmentBytes = int.MaxValue)
    {
        var decoder = Decoder();
        var read = new List<string> { Describe(Decode(decoder, bytes, segmentBytes)) };
        while (decoder.TryTakeDecompressed(out var frame)) read.Add(Describe(frame));
        return read;
    }

    private static ReplicationException? TryRead(byte[] bytes)
    {
        try
        {
            Read(bytes);
            return null;
        }
        catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Corrupt)
        {
            return e;
        }
    }

    private static void AssertRefused(byte[] bytes, string said) => Assert.Contains(said, Assert.IsType<ReplicationException>(TryRead(bytes)).Message, StringComparison.Ordinal);

    private static void AssertCheapRefusal(byte[] bytes, string said)
    {
        AssertRefused(bytes, said);
        var before = GC.GetAllocatedBytesForCurrentThread();
        TryRead(bytes);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < 64 << 10, $"Refusing it took {allocated} bytes.");
    }

    private sealed class Ends(PipeReader input, PipeWriter output) : IPeerConnection
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;

        public void Abort() => input.CancelPendingRead();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
