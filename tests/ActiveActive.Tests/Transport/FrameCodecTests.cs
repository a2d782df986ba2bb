using System.Text;
using ActiveActive.Changes;
using ActiveActive.Transport;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

public sealed class FrameCodecTests
{
    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    [InlineData(7)]
    public void Control_frames_come_back_as_they_went(int segmentBytes)
    {
        foreach (var frame in new Frame[] { Hello, HelloOfProtocol1, Hello with { Purpose = HelloPurpose.Rows }, Welcome, WelcomeOfProtocol1, Refuse, UniqueKeys, Ack, RowRequest, FoundRow, GoneRow, new RelationFrame(9, Accounts()) })
        {
            Assert.Equal(Describe(frame), Describe(Decode(new FrameDecoder(MaxFrameBytes), FrameCodec.Encode(frame), segmentBytes)));
        }
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    [InlineData(7)]
    public void Transactions_come_back_as_they_went(int segmentBytes)
    {
        var encoder = new TransactionEncoder(MaxFrameBytes);
        foreach (var transaction in new[] { EveryShape(), Heartbeat(), EveryShape() with { IsLastPart = false, Part = 0 } })
        {
            var encoded = encoder.Encode(transaction);
            var decoder = new FrameDecoder(MaxFrameBytes);
            foreach (var relation in encoded.Relations) Decode(decoder, relation.FrameBytes, segmentBytes);
            Assert.Equal(Describe(transaction), Describe(Decode(decoder, encoded.FrameBytes, segmentBytes)));
            Assert.Equal(
                (transaction.Origin, transaction.Position, transaction.Part, transaction.IsLastPart, transaction.IsHeartbeat),
                (encoded.Origin, encoded.Position, encoded.Part, encoded.IsLastPart, encoded.IsHeartbeat));
        }
    }

    [Fact]
    public void Checksum_is_crc_32c()
    {
        // The check value of CRC-32C (RFC 3720, appendix B.4, uses the same polynomial).
        var bytes = "123456789"u8.ToArray();
        Assert.Equal(0xE3069283u, FrameChecksum.Of(bytes));
        Assert.Equal(0xE3069283u, FrameChecksum.Of(Segmented(bytes, 2)));
    }

    [Fact]
    public void Columns_outside_a_key_image_are_not_sent()
    {
        var change = Change.Delete(Accounts(), Row("1", "eu", "secret", "secret"), oldIsKeyOnly: true);
        var encoded = new TransactionEncoder(MaxFrameBytes).Encode(Heartbeat() with { IsHeartbeat = false, Changes = [change] });
        Assert.DoesNotContain("secret", Encoding.UTF8.GetString(encoded.FrameBytes.Span), StringComparison.Ordinal);
    }

    [Fact]
    public void Relation_keeps_its_number_and_a_new_instance_gets_a_new_one()
    {
        var encoder = new TransactionEncoder(MaxFrameBytes);
        var before = Accounts();
        var after = Accounts();
        EncodedTransaction Insert(params Relation[] relations) => encoder.Encode(
            Heartbeat() with { IsHeartbeat = false, Changes = [.. relations.Select(r => Change.Insert(r, Row("1", "eu", null, null)))] });

        var first = Assert.Single(Insert(before, before).Relations);
        Assert.Same(first, Assert.Single(Insert(before).Relations));
        Assert.NotEqual(first.Id, Assert.Single(Insert(after).Relations).Id);
        Assert.Equal(2, Insert(before, after, before, after).Relations.Count);
    }

    [Fact]
    public void Transaction_beyond_the_frame_size_is_refused_with_the_settings_to_change()
    {
        var changes = Enumerable.Repeat(Change.Insert(Accounts(), Row("1", "eu", "1", new string('x', 1_000))), 100).ToArray();
        var fault = Assert.Throws<ReplicationException>(() => new TransactionEncoder(64 << 10).Encode(Heartbeat() with { IsHeartbeat = false, Changes = changes }));
        Assert.Equal(ReplicationErrorKind.Misconfigured, fault.Kind);
        Assert.Contains(nameof(ReplicationNodeOptions.MaxFrameBytes), fault.Message, StringComparison.Ordinal);
        Assert.Contains("public.accounts_2026", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Text_that_is_no_unicode_is_never_sent_as_something_else() => Assert.Throws<EncoderFallbackException>(() =>
        new TransactionEncoder(MaxFrameBytes).Encode(Heartbeat() with { IsHeartbeat = false, Changes = [Change.Insert(Accounts(), Row("\ud800", "eu", "1", "x"))] }));

    [Fact]
    public void Refusal_that_is_too_long_is_cut_between_characters()
    {
        var refusal = new RefuseFrame("code", new string('a', FrameLimits.MaxSentenceBytes - 1) + "🙂🙂");
        var back = Assert.IsType<RefuseFrame>(Decode(new FrameDecoder(MaxFrameBytes), FrameCodec.Encode(refusal)));
        Assert.Equal(new string('a', FrameLimits.MaxSentenceBytes - 1), back.Message);
    }
}
