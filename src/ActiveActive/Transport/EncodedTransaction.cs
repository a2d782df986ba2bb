using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// A <see cref="ChangeTransaction"/> (or a part, or a heartbeat) as it goes over the wire: encoded once, sent to any number of peers.
/// Its content is immutable.
/// </summary>
internal class EncodedTransaction
{
    private byte[]? _compressed;
    private bool _isCompressed;
    private object? _compressing;

    public required NodeName Origin { get; init; }

    public required NpgsqlLogSequenceNumber Position { get; init; }

    public required int Part { get; init; }

    public required bool IsLastPart { get; init; }

    public required bool IsHeartbeat { get; init; }

    /// <summary>The whole frame, header included.</summary>
    public required ReadOnlyMemory<byte> FrameBytes { get; init; }

    /// <summary>The relations that its changes refer to, each once: a connection announces those that it has not yet.</summary>
    public required IReadOnlyList<EncodedRelation> Relations { get; init; }

    /// <summary>Bytes on the wire as it is, without the relations.</summary>
    public int LengthBytes => FrameBytes.Length;

    /// <summary>What peers that do not hold all of its tables get in its place, and the others it itself; null where it is the same for all.</summary>
    public IReadOnlyDictionary<NodeName, EncodedTransaction>? ByPeer { get; set; }

    /// <summary>Bytes that it takes in memory, with what takes its place for some.</summary>
    public long HeldBytes => LengthBytes + (ByPeer?.Values.Distinct().Where(e => e != this).Sum(static e => (long)e.LengthBytes) ?? 0);

    public ReadOnlyMemory<byte> PayloadBytes => FrameBytes[FrameLimits.HeaderBytes..];

    /// <summary>The whole frame, compressed; null where it is not worth it. Made when the first peer wants it, once for all.</summary>
    public byte[]? CompressedFrameBytes => LengthBytes < CompressedFrame.LeastBytes ? null
        : LazyInitializer.EnsureInitialized(ref _compressed, ref _isCompressed, ref _compressing, () => CompressedFrame.TryEncode(this)!);

    /// <summary>What a peer gets of it.</summary>
    public EncodedTransaction For(NodeName peer) => ByPeer is null ? this : ByPeer[peer];

    /// <summary>The transactions with which it is compressed where they are sent together; set by what keeps them.</summary>
    public EncodedBlock? Block { get; set; }
}

/// <summary>A relation under the number by which transactions refer to it, with its frame ready to send. Immutable.</summary>
/// <param name="Id">From 1; unique within one <see cref="TransactionEncoder"/>.</param>
/// <param name="Relation">The table.</param>
/// <param name="FrameBytes">The whole <see cref="RelationFrame"/>, header included.</param>
internal sealed record EncodedRelation(int Id, Relation Relation, ReadOnlyMemory<byte> FrameBytes);
