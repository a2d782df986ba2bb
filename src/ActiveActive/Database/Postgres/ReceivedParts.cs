using System.Buffers;
using ActiveActive.Changes;
using ActiveActive.Transport;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The logical messages that hold parts of a peer's transactions as they were received: the frames of the wire, the relations of a part
/// before it, so that each part can be read without any other. A large part is spread over several messages.
/// </summary>
internal static class ReceivedParts
{
    /// <summary>A message must fit into a WAL record (1,020 MiB), and is held whole by the server that decodes it.</summary>
    private const int MaxMessageBytes = 64 << 20;

    private const string EmitSql = $"SELECT pg_logical_emit_message(true, '{PostgresNames.ReceivedPrefix}', $1)";

    /// <summary>The statements that write a part.</summary>
    public static IEnumerable<NpgsqlBatchCommand> Write(EncodedTransaction part)
    {
        var bytes = new byte[part.Relations.Sum(static r => r.FrameBytes.Length) + part.FrameBytes.Length];
        var end = 0;
        foreach (var relation in part.Relations) Append(relation.FrameBytes);
        Append(part.FrameBytes);
        for (var start = 0; start < end; start += MaxMessageBytes)
        {
            yield return SqlParameters.Command(EmitSql, SqlParameters.Bytes(bytes.AsMemory(start, Math.Min(MaxMessageBytes, end - start))));
        }

        void Append(ReadOnlyMemory<byte> frame)
        {
            frame.CopyTo(bytes.AsMemory(end));
            end += frame.Length;
        }
    }
}

/// <summary>Reads what <see cref="ReceivedParts"/> wrote, message by message.</summary>
internal sealed class ReceivedPartReader
{
    // A relation comes with every part. One instance for all equal ones: what is kept per relation further on is kept once.
    private readonly HashSet<Relation> _relations = new(RelationShape.Comparer);
    private readonly ArrayBufferWriter<byte> _unread = new();

    /// <summary>The part that a message completes; null where another message is needed.</summary>
    /// <exception cref="ReplicationException">Corrupt: it is not what was written.</exception>
    public ChangeTransaction? Take(ReadOnlySpan<byte> content)
    {
        _unread.Write(content);
        var decoder = new FrameDecoder(int.MaxValue, new RelationWindow(long.MaxValue), OneOf);
        var rest = new ReadOnlySequence<byte>(_unread.WrittenMemory);
        while (decoder.TryDecode(ref rest, out var frame))
        {
            if (frame is not TransactionFrame { Transaction: var part }) continue;
            if (!rest.IsEmpty) throw new ReplicationException(ReplicationErrorKind.Corrupt, "A logical message of a received transaction has bytes after its end.");
            _unread.ResetWrittenCount();
            return part;
        }

        return null;
    }

    private Relation OneOf(Relation relation)
    {
        if (_relations.TryGetValue(relation, out var known)) return known;
        _relations.Add(relation);
        return relation;
    }
}
