using System.Runtime.CompilerServices;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Capture;

/// <summary>
/// Reads from the log what this node received of another one, for a peer that can't get it there: each transaction as its origin sent it, with
/// its own vector, stamp and all operations, also those that lost here (convergence R10).
/// </summary>
internal sealed class RelayReader(ILocalDatabase database, NodeName origin, NodeName peer, TransactionEncoder encoder)
{
    /// <summary>Yields the encoded transactions after a position up to another, from a checkpoint on; then it ends.</summary>
    /// <exception cref="ReplicationException">Transient: one was applied before this node kept what it receives.</exception>
    public async IAsyncEnumerable<EncodedTransaction> ReadAsync(
        CaptureCheckpoint checkpoint, NpgsqlLogSequenceNumber after, NpgsqlLogSequenceNumber upTo, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var last = after;
        await using var stream = await database.OpenChangeStreamAsync(checkpoint.Position, new SlotCopy(peer, origin), cancellationToken);
        await foreach (var captured in stream.ReadAsync(cancellationToken))
        {
            if (captured.ForeignOrigin != origin || captured.ForeignPosition <= after) continue;
            if (captured.Received is { } part)
            {
                // One commit may have applied several, of which the peer has the first ones.
                if (part.Position <= after) continue;
                yield return Safeguards.IsOff(Safeguard.RouteOnRelay) ? encoder.Encode(part) : encoder.EncodeFor(peer, part);
                if (part.IsLastPart) last = part.Position;
                continue;
            }

            // The second commit of one that left the quarantine: its first one was sent.
            if (captured.ForeignPosition < last) continue;

            // Better nothing than a gap that nobody would notice.
            if (last != captured.ForeignPosition)
                throw new ReplicationException(ReplicationErrorKind.Transient, $"Transaction {origin} {captured.ForeignPosition} can't be relayed: it was applied here while the cluster had two nodes.");
            if (last >= upTo) yield break;
        }
    }
}
