using ActiveActive.Changes;
using ActiveActive.Database;
using MessagePack;

namespace ActiveActive.Transport;

internal static partial class FrameCodec
{
    private static void Write(ref MessagePackWriter writer, MembersFrame frame)
    {
        writer.WriteArrayHeader(2);
        writer.Write((int)FrameKind.Members);
        writer.WriteArrayHeader(2 * frame.Members.Count);
        foreach (var (name, state) in frame.Members)
        {
            writer.WriteText(name.Value);
            writer.Write(state == MemberState.Joined);
        }
    }

    private static void Write(ref MessagePackWriter writer, SnapshotFrame frame)
    {
        writer.WriteArrayHeader(5);
        writer.Write((int)FrameKind.Snapshot);
        WriteGuid(ref writer, frame.Id);
        writer.WriteArrayHeader(2 * frame.Copied.Count);
        foreach (var (node, position) in frame.Copied)
        {
            writer.WriteText(node.Value);
            writer.Write((ulong)position);
        }

        writer.Write(frame.GreatestStamp.Microseconds);
        writer.WriteArrayHeader(3 * frame.Tables.Count);
        foreach (var (relation, rows, bytes) in frame.Tables)
        {
            WriteFields(ref writer, relation);
            writer.Write(rows);
            writer.Write(bytes);
        }
    }

    private static void Write(ref MessagePackWriter writer, CopyRequestFrame frame)
    {
        writer.WriteArrayHeader(3);
        writer.Write((int)FrameKind.CopyRequest);
        WriteBounded(ref writer, frame.Table.Schema, FrameLimits.MaxIdentifierBytes);
        WriteBounded(ref writer, frame.Table.Name, FrameLimits.MaxIdentifierBytes);
    }

    private static void Write(ref MessagePackWriter writer, CopiedKeysFrame frame)
    {
        writer.WriteArrayHeader(2);
        writer.Write((int)FrameKind.CopiedKeys);
        writer.WriteArrayHeader(7 * frame.Keys.Count);
        foreach (var key in frame.Keys)
        {
            Write(ref writer, key.Key);
            Write(ref writer, key.Version);
            writer.Write(key.IsKept);
            writer.WriteArrayHeader(2 * key.Siblings.Count);
            foreach (var sibling in key.Siblings) Write(ref writer, sibling);
            if (key.Loser is { } loser)
            {
                writer.WriteArrayHeader(2);
                Write(ref writer, loser);
            }
            else
            {
                writer.WriteNil();
            }

            WriteOrNil(ref writer, key.Winner);
            Write(ref writer, key.Tombstone);
        }
    }

    private static void Write(ref MessagePackWriter writer, CopiedVersion version)
    {
        Write(ref writer, (RowVersion?)version.Version);
        WriteOrNil(ref writer, version.Row);
    }

    private static void Write(ref MessagePackWriter writer, RowVersion? version)
    {
        if (version is not { } known)
        {
            writer.WriteNil();
            return;
        }

        writer.WriteArrayHeader(3);
        writer.Write(known.Stamp.Microseconds);
        writer.WriteText(known.Origin.Value);
        writer.Write((ulong)known.Position);
    }

    private static void WriteOrNil(ref MessagePackWriter writer, Row? row)
    {
        if (row is null) writer.WriteNil();
        else Write(ref writer, row);
    }

    private static void WriteGuid(ref MessagePackWriter writer, Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        writer.Write(bytes);
    }
}
