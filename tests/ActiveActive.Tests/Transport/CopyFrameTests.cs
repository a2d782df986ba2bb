using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Tests.Snapshots;
using ActiveActive.Transport;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

/// <summary>The frames by which a node gets its data.</summary>
public sealed class CopyFrameTests
{
    private static readonly Guid s_id = new("00112233-4455-6677-8899-aabbccddeeff");

    private static IReadOnlyList<Frame> Frames { get; } =
    [
        Hello with { Purpose = HelloPurpose.Join },
        Hello with { Purpose = HelloPurpose.Copy },
        new MembersFrame([new Member(Eu, MemberState.Joined), new Member(Us, MemberState.Joining)]),
        new SnapshotRequestFrame(Guid.Empty),
        new SnapshotFrame(s_id, DependencyVector.Of([new(Eu, new(0x77)), new(Us, new(0x1_0000_0000))]), new CommitTimestamp(842_000_000_123_456), [new TableToCopy(Accounts(), 12, 3_000_000_000)]),
        new CopyRequestFrame(new TableName("public", "accounts")),
        new CopiedRowsFrame(Encoding.UTF8.GetBytes("1\teu\t10.00\t\\N\n")),
        new CopiedKeysFrame(
        [
            new CopiedKey(ActiveActive.Row.Of(("id", "1"), ("region", "eu"))) { Version = Version(5), IsKept = true },
            new CopiedKey(ActiveActive.Row.Of(("id", "2")))
            {
                Siblings = [new CopiedVersion(Version(6), ActiveActive.Row.Of(("id", "2"), ("note", null))), new CopiedVersion(Version(7), null)],
                Loser = new CopiedVersion(Version(8), ActiveActive.Row.Of(("id", "2"), ("note", "grüß 🙂"))),
                Winner = ActiveActive.Row.Of(("id", "3")),
            },
            new CopiedKey(ActiveActive.Row.Of()) { Tombstone = Version(9) },
        ]),
        new CopiedTableFrame(),
    ];

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    [InlineData(7)]
    public void Frames_come_back_as_they_went(int segmentBytes)
    {
        foreach (var frame in Frames) Assert.Equal(Text(frame), Text(Decode(new FrameDecoder(MaxFrameBytes), FrameCodec.Encode(frame), segmentBytes)));
    }

    [Fact]
    public void Bytes() => Snapshot.Verify(string.Concat(Frames.Where(f => f is not HelloFrame).Select(f => $"{f.GetType().Name} {Convert.ToHexStringLower(FrameCodec.Encode(f))}\n")));

    [Fact]
    public void Truncated_and_altered_frames_are_corrupt_and_nothing_else()
    {
        foreach (var frame in Frames)
        {
            var payload = FrameCodec.Encode(frame).AsSpan(FrameLimits.HeaderBytes).ToArray();
            for (var length = 1; length < payload.Length; length++) AssertCorrupt(payload.AsMemory(0, length));
            for (var i = 1; i < payload.Length; i++)
            {
                // 0xdd: an array of up to four billion elements; 0xdb: a text of that many bytes.
                foreach (var value in (byte[])[0xdd, 0xdb, 0xc1])
                {
                    var altered = (byte[])payload.Clone();
                    altered[i] = value;
                    Assert.True(Record.Exception(() => new FrameDecoder(MaxFrameBytes).DecodePayload(new(altered))) is null or ReplicationException { Kind: ReplicationErrorKind.Corrupt });
                }
            }
        }
    }

    private static void AssertCorrupt(ReadOnlyMemory<byte> payload) =>
        Assert.Equal(ReplicationErrorKind.Corrupt, Assert.Throws<ReplicationException>(() => new FrameDecoder(MaxFrameBytes).DecodePayload(new(payload))).Kind);

    private static RowVersion Version(ulong position) => new(new CommitTimestamp(1000), Eu, new(position));

    private static string Text(Frame frame) => frame switch
    {
        MembersFrame m => string.Join(";", m.Members),
        SnapshotFrame s => $"{s.Id} {s.Copied} {s.GreatestStamp} {string.Join(";", s.Tables.Select(t => $"{t.Relation.Name} {string.Join(",", t.Relation.Columns)} {t.Rows} {t.Bytes}"))}",
        CopiedRowsFrame r => Convert.ToHexString(r.Rows.Span),
        CopiedKeysFrame k => string.Join(";", k.Keys.Select(c => $"{Text(c.Key)} {c.Version} {c.IsKept} [{string.Join(",", c.Siblings.Select(Text))}] {(c.Loser is null ? "-" : Text(c.Loser))} {Text(c.Winner)} {c.Tombstone}")),
        _ => Describe(frame),
    };

    private static string Text(CopiedVersion version) => $"{version.Version} {Text(version.Row)}";

    private static string Text(Row? row) => row is null ? "-" : string.Join("|", row);
}
