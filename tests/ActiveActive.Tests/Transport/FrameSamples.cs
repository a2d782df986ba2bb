using System.Buffers;
using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

/// <summary>Frames to encode, and a text of a frame that tells two of them apart.</summary>
internal static class FrameSamples
{
    public const int MaxFrameBytes = 1 << 20;

    public static readonly NodeName Eu = new("eu");
    public static readonly NodeName Us = new("us");

    public static DatabaseIdentity Identity { get; } = new(7_555_000_111_222_333_444, 3, 16_384, new Guid("00112233-4455-6677-8899-aabbccddeeff"), 180_004);

    public static HelloFrame Hello { get; } = new(1, 2, Eu, Us, new NodeName("ap"), Identity, [new("delta", "public.accounts.balance"), new("tables", "public.*")], new(0x1_0000_00A0), Features: [Handshake.Brotli, "of-the-future"]);

    public static HelloFrame HelloOfProtocol1 { get; } = Hello with { MaxProtocol = 1, Features = null };

    public static WelcomeFrame Welcome { get; } = new(2, Us, Identity, new(0xB0), [Handshake.Brotli]);

    public static WelcomeFrame WelcomeOfProtocol1 { get; } = Welcome with { Protocol = 1, Features = null };

    public static RefuseFrame Refuse { get; } = new("settings-differ", "'tables' is public.* there and app.* here. Make them equal.");

    public static UniqueKeysFrame UniqueKeys { get; } = new([new(new("public", "people"), "(email)"), new(new("public", "people"), "(lower(name)) WHERE (age > 17)")]);

    public static AckFrame Ack { get; } = new(new(0xFF_0000_1234));

    public static RowRequestFrame RowRequest { get; } = new(
        new(0x2_0000_0010),
        [new(new("public", "accounts"), ActiveActive.Row.Of(("id", "1"), ("region", "eu"))), new(new("public", "documents"), ActiveActive.Row.Of(("id", "2")))]);

    public static RowFrame FoundRow { get; } = new(new(new(0x2_0000_0010), ActiveActive.Row.Of(("id", "1"), ("region", "eu"), ("note", null), ("body", "grüß 🙂"))));

    public static RowFrame GoneRow { get; } = new(new(default, null));

    public static Relation Accounts() => new(
        new("public", "accounts_2026"), new("public", "accounts"),
        [new("id", "bigint", 1), new("region", "text", 2), new("balance", "numeric(20,2)", 0), new("note", "text", 0)]);

    public static ColumnValue[] Row(params string?[] values) => [.. values.Select(v => v is null ? ColumnValue.Null : ColumnValue.Of(v))];

    public static ChangeTransaction EveryShape()
    {
        var accounts = Accounts();
        var withUnchanged = Row("1", "eu", "11.00", null);
        withUnchanged[3] = ColumnValue.Unchanged;
        return new ChangeTransaction
        {
            Origin = Eu,
            Position = new(0x2_0000_0010),
            Stamp = new CommitTimestamp(842_000_000_123_456),
            Dependencies = DependencyVector.Of(
                [new(Us, new(0x77)), new(new NodeName("ap-1"), new(ulong.MaxValue))], [new(Us, new(0x70)), new(Us, new(0x66)), new(new NodeName("ap-1"), new(9))]),
            Part = 2,
            IsLastPart = true,
            Changes =
            [
                Change.Insert(accounts, Row("1", "eu", "10.00", "grüß 🙂")),
                Change.Update(accounts, null, false, withUnchanged),
                Change.Update(accounts, Row("1", "eu", null, null), true, Row("2", "eu", "", "x")),
                Change.Update(accounts, Row("2", "eu", "0", "x"), false, Row("2", "eu", "1", "x")),
                Change.Delete(accounts, Row("2", "eu", null, null), true),
                Change.Delete(accounts, Row("3", "us", "5", null), false),
                Change.Truncate(accounts),
            ],
        };
    }

    public static ChangeTransaction Heartbeat() => new()
    {
        Origin = Us,
        Position = new(0x30),
        Stamp = CommitTimestamp.Unknown,
        Dependencies = DependencyVector.Empty,
        Changes = [],
        IsHeartbeat = true,
    };

    /// <summary>Everything in a frame, as text.</summary>
    public static string Describe(Frame frame) => frame switch
    {
        HelloFrame h => $"hello {h.MinProtocol}-{h.MaxProtocol} {h.From}>{h.To} of {h.Origin} {h.Identity} [{string.Join(";", h.Settings)}] {h.ResumeAfter} {h.Purpose} {Describe(h.Features)}",
        WelcomeFrame w => $"welcome {w.Protocol} {w.From} {w.Identity} {w.Reach} {Describe(w.Features)}",
        UniqueKeysFrame k => $"unique {string.Join(";", k.Keys)}",
        RowRequestFrame r => $"rows of {r.Position} {string.Join(";", r.Rows.Select(w => $"{w.Table} {string.Join("|", w.Key)}"))}",
        RowFrame { Row: var (position, row) } => $"row {position} {(row is null ? "-" : string.Join("|", row))}",
        RelationFrame r => $"relation {r.Id} {r.Relation.Name} {r.Relation.Root} {string.Join(";", r.Relation.Columns)}",
        TransactionFrame t => Describe(t.Transaction),
        _ => frame.ToString()!,
    };

    public static string Describe(ChangeTransaction t)
    {
        var text = new StringBuilder($"{t} {t.Stamp.Microseconds} {t.Dependencies} last {t.IsLastPart} heartbeat {t.IsHeartbeat}");
        foreach (var c in t.Changes) text.Append($"\n{c} old {Describe(c.OldRow)} key only {c.OldIsKeyOnly} new {Describe(c.NewRow)}");
        return text.ToString();
    }

    public static Frame Decode(FrameDecoder decoder, ReadOnlyMemory<byte> bytes, int segmentBytes = int.MaxValue)
    {
        var buffer = Segmented(bytes, segmentBytes);
        Assert.True(decoder.TryDecode(ref buffer, out var frame), "The frame was taken for incomplete.");
        Assert.True(buffer.IsEmpty, "The decoder left bytes of a single frame.");
        return frame!;
    }

    /// <summary>The bytes as a network may hand them over: in pieces.</summary>
    public static ReadOnlySequence<byte> Segmented(ReadOnlyMemory<byte> bytes, int segmentBytes)
    {
        if (bytes.Length <= segmentBytes) return new(bytes);
        Piece? first = null;
        Piece? last = null;
        for (var i = 0; i < bytes.Length; i += segmentBytes)
        {
            last = new Piece(bytes.Slice(i, Math.Min(segmentBytes, bytes.Length - i)), last);
            first ??= last;
        }

        return new(first!, 0, last!, last!.Memory.Length);
    }

    private static string Describe(IReadOnlyList<string>? features) => features is null ? "-" : $"[{string.Join(",", features)}]";

    private static string Describe(ColumnValue[]? row) => row is null ? "-" : $"[{string.Join("|", row)}]";

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, Piece? previous)
        {
            Memory = memory;
            if (previous is null) return;
            previous.Next = this;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
        }
    }
}
