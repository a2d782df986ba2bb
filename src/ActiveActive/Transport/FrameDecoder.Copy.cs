using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Transport;

internal sealed partial class FrameDecoder
{
    private Member[] ReadMembers(ref PayloadReader reader)
    {
        var members = new Member[ReadPairs(ref reader, FrameLimits.MaxVectorEntries)];
        for (var i = 0; i < members.Length; i++) members[i] = new Member(ReadNode(ref reader), reader.ReadBoolean() ? MemberState.Joined : MemberState.Joining);
        return members;
    }

    private SnapshotFrame ReadSnapshot(ref PayloadReader reader)
    {
        var id = reader.ReadGuid();
        var copied = new KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[ReadPairs(ref reader, FrameLimits.MaxVectorEntries)];
        for (var i = 0; i < copied.Length; i++) copied[i] = new(ReadNode(ref reader), ReadPosition(ref reader));
        var stamp = new CommitTimestamp(reader.ReadInt64());
        var elements = reader.ReadArrayHeader();
        if (elements % 3 != 0) throw Corrupt("A snapshot has an incomplete table.");
        var tables = new List<TableToCopy>();
        for (var i = 0; i < elements / 3; i++) tables.Add(new TableToCopy(ReadRelationFields(ref reader, "A table to copy"), reader.ReadInt64(), reader.ReadInt64()));
        return new SnapshotFrame(id, DependencyVector.Of(copied), stamp, tables);
    }

    private CopiedKey[] ReadCopiedKeys(ref PayloadReader reader)
    {
        var elements = reader.ReadArrayHeader();
        if (elements % 7 != 0) throw Corrupt("A list of copied keys has an incomplete one.");
        var keys = new CopiedKey[elements / 7];
        for (var i = 0; i < keys.Length; i++)
        {
            var key = ReadRow(ref reader, FrameLimits.MaxKeyColumns);
            var version = ReadVersion(ref reader);
            var isKept = reader.ReadBoolean();
            var siblings = new CopiedVersion[ReadPairs(ref reader, int.MaxValue / 2)];
            for (var s = 0; s < siblings.Length; s++) siblings[s] = ReadCopiedVersion(ref reader);
            CopiedVersion? loser = null;
            if (!reader.TryReadNil())
            {
                if (ReadPairs(ref reader, 1) != 1) throw Corrupt("A loser has no version.");
                loser = ReadCopiedVersion(ref reader);
            }

            var winner = reader.TryReadNil() ? null : ReadRow(ref reader, FrameLimits.MaxKeyColumns);
            keys[i] = new CopiedKey(key) { Version = version, IsKept = isKept, Siblings = siblings, Loser = loser, Winner = winner, Tombstone = ReadVersion(ref reader) };
        }

        return keys;
    }

    private CopiedVersion ReadCopiedVersion(ref PayloadReader reader) =>
        new(ReadVersion(ref reader) ?? throw Corrupt("A copied row has no version."), reader.TryReadNil() ? null : ReadRow(ref reader, FrameLimits.MaxColumns));

    private RowVersion? ReadVersion(ref PayloadReader reader)
    {
        if (reader.TryReadNil()) return null;
        if (reader.ReadArrayHeader() != 3) throw Corrupt("A version has not three fields.");
        return new RowVersion(new CommitTimestamp(reader.ReadInt64()), ReadNode(ref reader), ReadPosition(ref reader));
    }

    private static int ReadPairs(ref PayloadReader reader, int max)
    {
        var elements = reader.ReadArrayHeader(2 * max);
        return elements % 2 == 0 ? elements / 2 : throw Corrupt("A list has an incomplete entry.");
    }
}
