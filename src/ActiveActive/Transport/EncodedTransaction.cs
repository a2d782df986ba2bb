using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// A <see cref="ChangeTransaction"/> (or a part, or a heartbeat) as it goes over the wire: encoded once, sent to any number of peers.
/// Immutable.
/// </summary>
internal class EncodedTransaction
{
    public required NodeName Origin { get; init; }

    public required NpgsqlLogSequenceNumber Position { get; init; }

    public required int Part { get; init; }

    public required bool IsLastPart { get; init; }

    public required bool IsHeartbeat { get; init; }

    /// <summary>The whole frame, header included.</summary>
    public required ReadOnlyMemory<byte> FrameBytes { get; init; }

    /// <summary>The relations that its changes refer to, each once: a connection announces those that it has not yet.</summary>
    public required IReadOnlyList<EncodedRelation> Relations { get; init; }

    /// <summary>Bytes on the wire, without the relations.</summary>
    public int LengthBytes => FrameBytes.Length;
}

/// <summary>A relation under the number by which transactions refer to it, with its frame ready to send. Immutable.</summary>
/// <param name="Id">From 1; unique within one <see cref="TransactionEncoder"/>.</param>
/// <param name="Relation">The table.</param>
/// <param name="FrameBytes">The whole <see cref="RelationFrame"/>, header included.</param>
internal sealed record EncodedRelation(int Id, Relation Relation, ReadOnlyMemory<byte> FrameBytes);
