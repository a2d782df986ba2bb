using System.Buffers;
using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Database.Postgres.PgOutput;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Fuzz.Targets;

/// <summary>pgoutput's messages, as the node's own server sends them, with the transactions in logical messages that a relay reads back.</summary>
internal sealed class PgOutputTarget : FuzzTarget
{
    private const uint DatabaseOid = 16_384;
    private static readonly NodeName s_relayed = new("us");

    public PgOutputTarget()
    {
        foreach (var stream in SampleFiles.PgOutput()) Seed(stream);
        var frames = SampleFiles.Frames().ToList();
        byte[] Frame(string name) => FrameTarget.Sealed(frames.First(f => f.Name == name).Payload);
        var begin = (byte[])[(byte)'B', .. new byte[7], 64, .. new byte[8], 0, 0, 2, 188];
        var commit = (byte[])[(byte)'C', 0, .. new byte[7], 64, .. new byte[7], 112, .. new byte[8]];
        var origin = (byte[])[(byte)'O', .. new byte[7], 32, .. Text(PostgresNames.Origin(DatabaseOid, s_relayed))];
        var grouped = GroupedVersions.TryCreate(
            [new RowVersion(new CommitTimestamp(5), s_relayed, new(7)), new RowVersion(new CommitTimestamp(6), s_relayed, new(8))],
            [(new RowKey(new("public", "t"), ["1"]), new RowVersion(new CommitTimestamp(5), s_relayed, new(7))), (new RowKey(new("public", "t"), ["2"]), new RowVersion(new CommitTimestamp(6), s_relayed, new(8)))])!.ToBytes();
        Seed(begin, origin, Message(PostgresNames.ReceivedPrefix, [.. Frame("relation"), .. Frame("transaction")]), commit);
        Seed(begin, origin, Message(PostgresNames.GroupedPrefix, grouped), Message(PostgresNames.MessagePrefix, PostgresNames.QuarantinedMessage), commit);
        Seed(begin, Message(PostgresNames.MessagePrefix, "842000000123456"u8), commit);
    }

    public override string Name => "pgoutput";

    // Of the own slot, of a copy, of a copy with what others' transactions wrote, of a copy that a relay reads.
    protected override int Variants => 4;

    public override int Run(FuzzInput input)
    {
        var copy = input.Variant switch
        {
            0 => null,
            1 => new SlotCopy(new("ap")),
            2 => new SlotCopy(new("ap"), IsWithApplied: true),
            _ => new SlotCopy(new("ap"), s_relayed),
        };
        var assembler = new TransactionAssembler(DatabaseOid, 3, 1_000, copy);
        var outcome = 17;
        foreach (var message in input.Pieces)
        {
            var step = assembler.Next(message);
            for (var asked = 0; step.NeedsRelation; step = assembler.Next(message))
            {
                if (asked++ > 70_000) throw new InvalidOperationException("It asks for tables without end.");
                assembler.Resolve(step.Unresolved, Look(step.Unresolved));
            }

            if (message.Length > 0) outcome = unchecked((outcome * 31) + message[0] + (step.Transaction is { } t ? 1_000 * Math.Min(3, t.Changes.Count) : 0));
        }

        return outcome;
    }

    /// <summary>The catalog's answer: the message's columns, the first of which is the key.</summary>
    private static Relation Look(RelationMessage message) =>
        new(message.Name, message.Name, [.. message.Columns.Select(static (c, i) => new RelationColumn(c.Name, "text", i == 0 ? 1 : 0))]);

    private static byte[] Message(string prefix, ReadOnlySpan<byte> content)
    {
        var length = new byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(length, content.Length);
        return [(byte)'M', 1, .. new byte[7], 48, .. Text(prefix), .. length, .. content];
    }

    private static byte[] Text(string text) => [.. Encoding.UTF8.GetBytes(text), 0];
}
