using System.Buffers;
using MessagePack;
using NpgsqlTypes;

namespace ActiveActive.Changes;

/// <summary>
/// Which transaction wrote which row where one local commit applies several of one origin: the rows show the stamp and position of the last one,
/// and what an earlier one wrote is told apart by this. It stands in the commit's log records, so that reading them again tells it again.
/// </summary>
internal sealed class GroupedVersions
{
    private readonly RowVersion[] _earlier;

    // Hashes in rising order, and beside each the place of its writer. No two rows of the group share a hash.
    private readonly ulong[] _rows;
    private readonly ushort[] _writers;

    private GroupedVersions(RowVersion[] earlier, ulong[] rows, ushort[] writers)
    {
        _earlier = earlier;
        _rows = rows;
        _writers = writers;
    }

    /// <summary>The transactions before the last one, in their order.</summary>
    public IReadOnlyList<RowVersion> Earlier => _earlier;

    /// <param name="earlier">The group without its last transaction.</param>
    /// <param name="rows">Every row that the group leaves with its commit's version, and the version that it truly has.</param>
    /// <returns>Null where two rows can't be told apart: then the group must not be committed as one.</returns>
    public static GroupedVersions? TryCreate(IReadOnlyList<RowVersion> earlier, IEnumerable<(RowKey Key, RowVersion Version)> rows)
    {
        var place = new Dictionary<NpgsqlLogSequenceNumber, ushort>(earlier.Count);
        for (var i = 0; i < earlier.Count; i++) place.Add(earlier[i].Position, checked((ushort)i));
        var all = new HashSet<ulong>();
        var hashes = new List<ulong>();
        var writers = new List<ushort>();
        foreach (var (key, version) in rows)
        {
            var hash = HashOf(key);
            if (!all.Add(hash)) return null;
            if (!place.TryGetValue(version.Position, out var writer)) continue;
            hashes.Add(hash);
            writers.Add(writer);
        }

        var (sorted, beside) = (hashes.ToArray(), writers.ToArray());
        Array.Sort(sorted, beside);
        return new GroupedVersions([.. earlier], sorted, beside);
    }

    /// <summary>The version of a row that the commit wrote, where an earlier transaction than the last one did.</summary>
    public bool TryGet(RowKey key, out RowVersion version)
    {
        var at = Array.BinarySearch(_rows, HashOf(key));
        version = at < 0 ? default : _earlier[_writers[at]];
        return at >= 0;
    }

    /// <summary>The form in the log: <c>[[position, stamp, …], [hash, writer, …]]</c> in MessagePack.</summary>
    public byte[] ToBytes()
    {
        var buffer = new ArrayBufferWriter<byte>(32 + (_earlier.Length * 20) + (_rows.Length * 12));
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(2);
        writer.WriteArrayHeader(_earlier.Length * 2);
        foreach (var version in _earlier)
        {
            writer.Write((ulong)version.Position);
            writer.Write(version.Stamp.Microseconds);
        }

        writer.WriteArrayHeader(_rows.Length * 2);
        for (var i = 0; i < _rows.Length; i++)
        {
            writer.Write(_rows[i]);
            writer.Write(_writers[i]);
        }

        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    /// <param name="origin">Whose transactions they are.</param>
    /// <param name="bytes">What <see cref="ToBytes"/> gave.</param>
    /// <exception cref="ReplicationException">Corrupt: it is something else.</exception>
    public static GroupedVersions Read(NodeName origin, ReadOnlySpan<byte> bytes)
    {
        try
        {
            var reader = new MessagePackReader(bytes.ToArray());
            if (reader.ReadArrayHeader() != 2) throw new MessagePackSerializationException("it has no two parts");
            var earlier = new RowVersion[Pairs(ref reader)];
            for (var i = 0; i < earlier.Length; i++)
            {
                var position = new NpgsqlLogSequenceNumber(reader.ReadUInt64());
                earlier[i] = new RowVersion(new CommitTimestamp(reader.ReadInt64()), origin, position);
            }

            var rows = new ulong[Pairs(ref reader)];
            var writers = new ushort[rows.Length];
            for (var i = 0; i < rows.Length; i++)
            {
                rows[i] = reader.ReadUInt64();
                writers[i] = reader.ReadUInt16();
                if (writers[i] >= earlier.Length || (i > 0 && rows[i] <= rows[i - 1])) throw new MessagePackSerializationException("its rows are out of order");
            }

            return new GroupedVersions(earlier, rows, writers);
        }
        catch (Exception e) when (e is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new ReplicationException(ReplicationErrorKind.Corrupt, $"A logical message that says which transaction of node '{origin}' wrote which row can't be read: {e.Message}", e);
        }
    }

    private static int Pairs(ref MessagePackReader reader) =>
        Math.DivRem(reader.ReadArrayHeader(), 2) is (var pairs, 0) ? pairs : throw new MessagePackSerializationException("it has half a pair");

    // FNV-1a over the UTF-16 units; it is stored, so it must not differ between processes.
    private static ulong HashOf(RowKey key)
    {
        var hash = 14695981039346656037UL;
        Add(key.Table.Schema);
        Add(key.Table.Name);
        foreach (var value in key.Values) Add(value);
        return hash;

        void Add(string text)
        {
            foreach (var unit in text) hash = (hash ^ unit) * 1099511628211UL;
            hash = (hash ^ 0x1_0000) * 1099511628211UL;
        }
    }
}
