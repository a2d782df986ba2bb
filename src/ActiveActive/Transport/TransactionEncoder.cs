using System.Buffers;
using System.Runtime.CompilerServices;
using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using ActiveActive.Routes;
using MessagePack;

namespace ActiveActive.Transport;

/// <summary>
/// Encodes transactions, once for all peers. A node has ONE encoder, since the numbers that it gives to relations must be unique on
/// every connection that its transactions go over. A relation is known by its instance: announced again after DDL, it is a new
/// instance with a new number. A relation that nobody holds any more is forgotten. Safe to use from several threads.
/// </summary>
/// <param name="maxFrameBytes">The greatest payload, see <see cref="ReplicationNodeOptions.MaxFrameBytes"/>.</param>
/// <param name="routes">Which peers hold which tables; null for all.</param>
/// <param name="peers">The peers for which the change log is read.</param>
internal class TransactionEncoder(int maxFrameBytes, TableRoutes? routes = null, IReadOnlyList<NodeName>? peers = null)
{
    private const int KeptBufferBytes = 1 << 20;

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? t_buffer;

    private readonly ConditionalWeakTable<Relation, EncodedRelation> _relations = [];
    private int _lastId;

    /// <summary>For all peers: once, and where it writes a table that not all of them hold, once more for each kind of peer that does not get all of it.</summary>
    /// <exception cref="ReplicationException">Misconfigured: the transaction does not fit into one frame.</exception>
    public EncodedTransaction Encode(ChangeTransaction transaction)
    {
        var encoded = EncodeWhole(transaction);
        if (routes?.Touches(transaction) == true && !Safeguards.IsOff(Safeguard.RouteOnStream)) encoded.ByPeer = EncodeByPeer(transaction, encoded, routes);
        return encoded;
    }

    /// <summary>For one peer: what it may have of it.</summary>
    /// <exception cref="ReplicationException">Misconfigured: the transaction does not fit into one frame.</exception>
    public EncodedTransaction EncodeFor(NodeName peer, ChangeTransaction transaction) => EncodeWhole(routes?.Project(transaction, peer) ?? transaction);

    private Dictionary<NodeName, EncodedTransaction> EncodeByPeer(ChangeTransaction transaction, EncodedTransaction whole, TableRoutes routes)
    {
        var byPeer = new Dictionary<NodeName, EncodedTransaction>();
        var made = new List<(ChangeTransaction Projected, EncodedTransaction Encoded)> { (transaction, whole) };
        foreach (var peer in peers!)
        {
            var projected = routes.Project(transaction, peer);
            var same = made.Find(m => m.Projected.Changes.Count == projected.Changes.Count && m.Projected.Changes.SequenceEqual(projected.Changes)).Encoded;
            if (same is null) made.Add((projected, same = EncodeWhole(projected)));
            byPeer.Add(peer, same);
        }

        return byPeer;
    }

    protected virtual EncodedTransaction EncodeWhole(ChangeTransaction transaction)
    {
        if (transaction.Dependencies.Count > FrameLimits.MaxVectorEntries || transaction.Dependencies.Gaps.Count > FrameLimits.MaxVectorGaps)
            throw new InvalidOperationException($"{transaction} depends on {transaction.Dependencies.Count} nodes with {transaction.Dependencies.Gaps.Count} gaps; at most {FrameLimits.MaxVectorEntries} and {FrameLimits.MaxVectorGaps} can be.");
        var buffer = t_buffer ??= new ArrayBufferWriter<byte>(4096);
        buffer.ResetWrittenCount();
        try
        {
            var relations = Write(buffer, transaction);
            return new EncodedTransaction
            {
                Origin = transaction.Origin,
                Position = transaction.Position,
                Part = transaction.Part,
                IsLastPart = transaction.IsLastPart,
                IsHeartbeat = transaction.IsHeartbeat,
                FrameBytes = FrameCodec.Seal(buffer),
                Relations = relations,
            };
        }
        finally
        {
            if (buffer.Capacity > KeptBufferBytes) t_buffer = null;
        }
    }

    private IReadOnlyList<EncodedRelation> Write(ArrayBufferWriter<byte> buffer, ChangeTransaction transaction)
    {
        FrameCodec.Begin(buffer);
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(9);
        writer.Write((int)FrameKind.Transaction);
        writer.WriteText(transaction.Origin.Value);
        writer.Write((ulong)transaction.Position);
        writer.Write(transaction.Stamp.Microseconds);
        writer.WriteMapHeader(transaction.Dependencies.Count);
        foreach (var (node, position) in transaction.Dependencies)
        {
            writer.WriteText(node.Value);
            writer.Write((ulong)position);
        }

        writer.WriteArrayHeader(2 * transaction.Dependencies.Gaps.Count);
        foreach (var (node, position) in transaction.Dependencies.Gaps)
        {
            writer.WriteText(node.Value);
            writer.Write((ulong)position);
        }

        writer.Write(transaction.Part);
        writer.Write((int)((transaction.IsLastPart ? TransactionFlags.LastPart : 0) | (transaction.IsHeartbeat ? TransactionFlags.Heartbeat : 0)));

        var changes = transaction.Changes;
        writer.WriteArrayHeader(changes.Count);
        var used = new UsedRelations(this);
        for (var i = 0; i < changes.Count; i++)
        {
            var change = changes[i];
            WriteChange(ref writer, change, used.NumberOf(change.Relation));

            // Looked at per change: a transaction far too large does not first take all that memory.
            writer.Flush();
            if (buffer.WrittenCount - FrameLimits.HeaderBytes > maxFrameBytes) throw TooLarge(transaction, change);
        }

        writer.Flush();
        return used.ToList();
    }

    private static void WriteChange(ref MessagePackWriter writer, Change change, int relationId)
    {
        var columns = change.Relation.Columns.Count;
        var shape = ShapeOf(change);
        var images = (change.OldRow is null ? 0 : 1) + (change.NewRow is null ? 0 : 1);
        writer.WriteArrayHeader(2 + (images * columns) + (shape == ChangeShape.Superseded ? FrameLimits.SupersededValues : 0));
        writer.Write((int)shape);
        writer.Write(relationId);
        if (change.OldRow is { } oldRow) WriteRow(ref writer, change, oldRow, change.OldIsKeyOnly);
        if (change.NewRow is { } newRow) WriteRow(ref writer, change, newRow, keyOnly: false);
        if (shape != ChangeShape.Superseded) return;
        writer.Write(change.Version.Stamp.Microseconds);
        writer.WriteText(change.Version.Origin.Value);
        writer.Write((ulong)change.Version.Position);
        writer.WriteText(string.Join(',', change.Nodes));
    }

    private static void WriteRow(ref MessagePackWriter writer, Change change, ColumnValue[] row, bool keyOnly)
    {
        var columns = change.Relation.Columns;
        if (row.Length != columns.Count) throw new InvalidOperationException($"{change}: {row.Length} values for {columns.Count} columns.");
        for (var i = 0; i < row.Length; i++)
        {
            // What stands outside a key image means nothing, and must not leave this node (residency).
            if (keyOnly && !columns[i].IsKey) writer.WriteNil();
            else if (row[i].TryGetUtf8(out var utf8)) writer.WriteString(utf8);
            else if (row[i].Text is { } text) writer.WriteText(text);
            else if (row[i].IsUnchanged) writer.Write(false);
            else writer.WriteNil();
        }
    }

    private static ChangeShape ShapeOf(Change change) => change.Kind switch
    {
        ChangeKind.Insert => ChangeShape.Insert,
        ChangeKind.Update when change.OldRow is null => ChangeShape.Update,
        ChangeKind.Update => change.OldIsKeyOnly ? ChangeShape.UpdateWithOldKey : ChangeShape.UpdateWithOldRow,
        ChangeKind.Delete => change.OldIsKeyOnly ? ChangeShape.DeleteByKey : ChangeShape.DeleteWithRow,
        ChangeKind.Truncate => ChangeShape.Truncate,
        ChangeKind.Superseded => ChangeShape.Superseded,
        _ => throw new InvalidOperationException($"{change} is no change that can be sent."),
    };

    private EncodedRelation NumberedRelation(Relation relation) => _relations.GetValue(relation, known =>
    {
        var id = Interlocked.Increment(ref _lastId);
        return new EncodedRelation(id, known, FrameCodec.Encode(new RelationFrame(id, known)));
    });

    private ReplicationException TooLarge(ChangeTransaction transaction, Change change) => new(
        ReplicationErrorKind.Misconfigured,
        $"Part {transaction.Part} of transaction {transaction.Origin} {transaction.Position} does not fit into a frame of {maxFrameBytes} bytes at a change of "
        + $"{change.Relation}. Raise {nameof(ReplicationNodeOptions.MaxFrameBytes)} on every node, or lower {nameof(ReplicationNodeOptions.MaxChangesPerPart)} on this one.");

    /// <summary>Collects a transaction's relations; most transactions stay with one table for a while.</summary>
    private struct UsedRelations(TransactionEncoder encoder)
    {
        private readonly List<EncodedRelation> _relations = [];
        private HashSet<int>? _ids;
        private EncodedRelation? _last;

        public int NumberOf(Relation relation)
        {
            if (ReferenceEquals(_last?.Relation, relation)) return _last.Id;
            _last = encoder.NumberedRelation(relation);
            if ((_ids ??= []).Add(_last.Id)) _relations.Add(_last);
            return _last.Id;
        }

        public readonly IReadOnlyList<EncodedRelation> ToList() => _relations.Count == 0 ? [] : [.. _relations];
    }
}
