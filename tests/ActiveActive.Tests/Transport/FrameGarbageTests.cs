using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using ActiveActive.Changes;
using ActiveActive.Transport;
using MessagePack;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

/// <summary>Whatever arrives, the outcome is a frame, "incomplete", or Corrupt: no other exception, and no memory beyond what arrived.</summary>
public sealed class FrameGarbageTests(ITestOutputHelper output)
{
    private delegate void WritePayload(ref MessagePackWriter writer);

    [Fact]
    public void Every_flipped_bit_is_noticed()
    {
        foreach (var (relation, bytes) in Frames())
        {
            for (var bit = 0; bit < bytes.Length * 8; bit++)
            {
                var flipped = (byte[])bytes.Clone();
                flipped[bit / 8] ^= (byte)(1 << (bit % 8));
                Assert.True(Feed(relation, flipped, MaxFrameBytes) is null, $"A frame was read although bit {bit} was flipped.");
            }
        }
    }

    [Fact]
    public void Every_truncated_frame_is_incomplete()
    {
        foreach (var (relation, bytes) in Frames())
        {
            for (var length = 0; length < bytes.Length; length++)
            {
                var buffer = new ReadOnlySequence<byte>(bytes, 0, length);
                Assert.False(DecoderWith(relation, MaxFrameBytes).TryDecode(ref buffer, out _));
                Assert.Equal(length, buffer.Length);
            }
        }
    }

    [Fact]
    public void Every_truncated_payload_under_a_right_checksum_is_corrupt()
    {
        foreach (var (relation, bytes) in Frames())
        {
            for (var length = FrameLimits.HeaderBytes + 2; length < bytes.Length; length++) Assert.Null(Feed(relation, Sealed(bytes[FrameLimits.HeaderBytes..length]), MaxFrameBytes));
        }
    }

    [Fact]
    public void Mutated_payloads_under_a_right_checksum_are_frames_or_corrupt()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var frames = Frames().ToArray();
        for (var round = 0; round < 30_000; round++)
        {
            var (relation, bytes) = frames[random.Next(frames.Length)];
            var payload = bytes[FrameLimits.HeaderBytes..];
            for (var i = random.Next(1, 5); i > 0; i--) payload[random.Next(payload.Length)] = (byte)random.Next(256);
            CheckCost(relation, Sealed(payload), random.Next(1, 40), $"seed {seed} round {round}");
        }
    }

    [Fact]
    public void Random_bytes_are_frames_or_corrupt()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var round = 0; round < 30_000; round++)
        {
            var payload = new byte[random.Next(2, 200)];
            random.NextBytes(payload);

            // Half of the rounds begin like a frame, to get further than the first byte.
            if (round % 2 == 0) (payload[0], payload[1]) = ((byte)(0x90 | random.Next(9)), (byte)random.Next(1, 10));
            CheckCost(null, Sealed(payload), random.Next(1, 40), $"seed {seed} round {round}");
        }
    }

    [Fact]
    public void Random_transactions_come_back_as_they_went()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var encoder = new TransactionEncoder(MaxFrameBytes);
        var decoder = new FrameDecoder(MaxFrameBytes);
        var announced = new HashSet<int>();
        var relations = Enumerable.Range(0, 5).Select(i => RandomRelation(random, i)).ToArray();
        for (var round = 0; round < 2_000; round++)
        {
            var transaction = RandomTransaction(random, relations);
            var encoded = encoder.Encode(transaction);
            foreach (var relation in encoded.Relations.Where(r => announced.Add(r.Id))) Decode(decoder, relation.FrameBytes, random.Next(1, 100));
            var back = Assert.IsType<TransactionFrame>(Decode(decoder, encoded.FrameBytes, random.Next(1, 100)));
            Assert.True(Describe(transaction) == Describe(back), $"seed {seed} round {round}:\n{Describe(transaction)}\n{Describe(back)}");
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData((uint)MaxFrameBytes + 1)]
    [InlineData(uint.MaxValue)]
    public void Announced_length_is_refused_before_the_frame_is_gathered(uint length)
    {
        var start = new byte[FrameLimits.HeaderBytes + 2];
        BinaryPrimitives.WriteUInt32LittleEndian(start, length);
        (start[8], start[9]) = (0x98, (byte)FrameKind.Transaction);
        var buffer = new ReadOnlySequence<byte>(start);
        var fault = Assert.Throws<ReplicationException>(() => new FrameDecoder(MaxFrameBytes).TryDecode(ref buffer, out _));
        Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
    }

    [Fact]
    public void Control_frame_has_a_smaller_limit_than_a_transaction()
    {
        var start = new byte[FrameLimits.HeaderBytes + 2];
        BinaryPrimitives.WriteUInt32LittleEndian(start, FrameLimits.MaxControlBytes + 1);
        (start[8], start[9]) = (0x98, (byte)FrameKind.Hello);
        var buffer = new ReadOnlySequence<byte>(start);
        Assert.Throws<ReplicationException>(() => new FrameDecoder(256 << 20).TryDecode(ref buffer, out _));
    }

    [Fact]
    public void Counts_beyond_the_bytes_left_are_refused_before_allocation()
    {
        AssertCheapRefusal("changes", (ref MessagePackWriter w) =>
        {
            TransactionStart(ref w, dependencies: 0);
            w.Write(0);
            w.Write(1);
            w.WriteArrayHeader(200_000_000);
        });
        AssertCheapRefusal("dependencies", (ref MessagePackWriter w) => TransactionStart(ref w, dependencies: 900));
        AssertCheapRefusal("columns", (ref MessagePackWriter w) =>
        {
            RelationStart(ref w);
            w.WriteArrayHeader(4_800);
        });
        AssertCheapRefusal("text", (ref MessagePackWriter w) =>
        {
            w.WriteArrayHeader(3);
            w.Write((int)FrameKind.Refuse);
            w.WriteRaw([MessagePackCode.Str32, 0x7f, 0xff, 0xff, 0xff]);
        });
    }

    [Fact]
    public void Counts_beyond_the_protocol_are_refused_although_the_bytes_are_there()
    {
        AssertCheapRefusal("dependencies", (ref MessagePackWriter w) =>
        {
            TransactionStart(ref w, FrameLimits.MaxVectorEntries + 1);
            w.WriteRaw(new byte[4_000]);
        });
        AssertCheapRefusal("columns", (ref MessagePackWriter w) =>
        {
            RelationStart(ref w);
            w.WriteArrayHeader(3 * (FrameLimits.MaxColumns + 1));
            w.WriteRaw(new byte[10_000]);
        });
    }

    [Fact]
    public void Refused_row_is_not_quoted()
    {
        var encoded = new TransactionEncoder(MaxFrameBytes).Encode(Heartbeat() with { IsHeartbeat = false, Changes = [Change.Insert(Accounts(), Row("1", "eu", "1", "secret-value"))] });
        var payload = encoded.FrameBytes[FrameLimits.HeaderBytes..].ToArray();
        payload[payload.AsSpan().IndexOf("secret-value"u8) + 3] = 0xFF;
        var decoder = new FrameDecoder(MaxFrameBytes);
        Decode(decoder, encoded.Relations[0].FrameBytes);
        var fault = Assert.Throws<ReplicationException>(() => Decode(decoder, Sealed(payload)));
        Assert.DoesNotContain("FF", fault.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("secret", fault.ToString(), StringComparison.Ordinal);
        Assert.Null(fault.InnerException);
    }

    private static void TransactionStart(ref MessagePackWriter writer, int dependencies)
    {
        writer.WriteArrayHeader(9);
        writer.Write((int)FrameKind.Transaction);
        writer.Write("eu");
        writer.Write(1UL);
        writer.Write(1L);
        writer.WriteMapHeader(dependencies);
    }

    private static void RelationStart(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(7);
        writer.Write((int)FrameKind.Relation);
        writer.Write(1);
        for (var i = 0; i < 4; i++) writer.Write("name");
    }

    private static void AssertCheapRefusal(string what, WritePayload write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        write(ref writer);
        writer.Flush();
        var frame = Sealed(buffer.WrittenSpan.ToArray());
        Feed(null, frame, MaxFrameBytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Null(Feed(null, frame, MaxFrameBytes));
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < 64 << 10, $"Refusing {what} took {allocated} bytes.");
    }

    private static void CheckCost(Relation? relation, byte[] frame, int segmentBytes, string round)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            Feed(relation, frame, MaxFrameBytes, segmentBytes);
        }
        catch (Exception e)
        {
            Assert.Fail($"{round}: {e}");
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < 128 << 10, $"{round}: {frame.Length} bytes took {allocated} bytes of memory.");
    }

    /// <summary>The frame, or null where it is incomplete or Corrupt.</summary>
    private static Frame? Feed(Relation? relation, byte[] bytes, int maxFrameBytes, int segmentBytes = int.MaxValue)
    {
        var buffer = Segmented(bytes, segmentBytes);
        try
        {
            return DecoderWith(relation, maxFrameBytes).TryDecode(ref buffer, out var frame) ? frame : null;
        }
        catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Corrupt)
        {
            return null;
        }
    }

    private static FrameDecoder DecoderWith(Relation? relation, int maxFrameBytes)
    {
        var window = new RelationWindow();
        if (relation is not null) window.TryAdd(1, relation);
        return new FrameDecoder(maxFrameBytes, window);
    }

    private static IEnumerable<(Relation? Relation, byte[] Bytes)> Frames()
    {
        foreach (var frame in new Frame[] { Hello, HelloOfProtocol1, Welcome, WelcomeOfProtocol1, Refuse, Ack, RowRequest, FoundRow, GoneRow, new RelationFrame(9, Accounts()) }) yield return (null, FrameCodec.Encode(frame));
        var transaction = EveryShape();
        yield return (transaction.Changes[0].Relation, new TransactionEncoder(MaxFrameBytes).Encode(transaction).FrameBytes.ToArray());
        yield return (null, new TransactionEncoder(MaxFrameBytes).Encode(Heartbeat()).FrameBytes.ToArray());
    }

    private static byte[] Sealed(byte[] payload)
    {
        var buffer = new ArrayBufferWriter<byte>();
        FrameCodec.Begin(buffer);
        buffer.Write(payload);
        return FrameCodec.Seal(buffer);
    }

    private static Relation RandomRelation(Random random, int number) => new(
        new("s", $"t{number}"), new("s", $"t{number}"),
        [.. Enumerable.Range(0, random.Next(1, 30)).Select(i => new RelationColumn($"c{i}", "text", i == 0 || random.Next(8) == 0 ? i + 1 : 0))]);

    private static ChangeTransaction RandomTransaction(Random random, Relation[] relations) => new()
    {
        Origin = new NodeName($"n{random.Next(9)}"),
        Position = new((ulong)random.NextInt64()),
        Stamp = new CommitTimestamp(random.NextInt64(long.MinValue, long.MaxValue)),
        Dependencies = DependencyVector.Of(Enumerable.Range(0, random.Next(6)).Select(i => KeyValuePair.Create(new NodeName($"d{i}"), new NpgsqlTypes.NpgsqlLogSequenceNumber((ulong)random.NextInt64())))),
        Part = random.Next(3),
        IsLastPart = random.Next(2) == 0,
        Changes = [.. Enumerable.Range(0, random.Next(12)).Select(_ => RandomChange(random, relations[random.Next(relations.Length)]))],
    };

    private static Change RandomChange(Random random, Relation relation)
    {
        ColumnValue[] Full() => [.. relation.Columns.Select(_ => RandomValue(random))];
        ColumnValue[] Key() => [.. relation.Columns.Select(c => c.IsKey ? RandomValue(random) : ColumnValue.Null)];
        return random.Next(7) switch
        {
            0 => Change.Insert(relation, Full()),
            1 => Change.Update(relation, null, false, Full()),
            2 => Change.Update(relation, Key(), true, Full()),
            3 => Change.Update(relation, Full(), false, Full()),
            4 => Change.Delete(relation, Key(), true),
            5 => Change.Delete(relation, Full(), false),
            _ => Change.Truncate(relation),
        };
    }

    private static ColumnValue RandomValue(Random random)
    {
        if (random.Next(6) == 0) return ColumnValue.Null;
        if (random.Next(6) == 0) return ColumnValue.Unchanged;
        var text = new StringBuilder();
        for (var i = random.Next(random.Next(20) == 0 ? 2_000 : 40); i > 0; i--)
        {
            text.Append(random.Next(5) == 0 ? new Rune(random.Next(0x10000, 0x10FFFF)).ToString() : ((char)random.Next(0x20, 0x800)).ToString());
        }

        return ColumnValue.Of(text.ToString());
    }
}
