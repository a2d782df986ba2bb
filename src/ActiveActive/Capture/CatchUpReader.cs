using ActiveActive.Database;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Capture;

/// <summary>
/// Reads the log again for one peer that fell behind the <see cref="ChangeLog"/>, through that peer's own copy of the slot: others
/// are not slowed down, and the main stream does not go back. It writes nothing: the main stream has entered what must be entered.
/// </summary>
internal sealed class CatchUpReader(ILocalDatabase database, NodeName self, NodeName peer, TransactionEncoder encoder)
{
    /// <summary>Yields the encoded transactions after a position, from a checkpoint on; ends only by the reader's break.</summary>
    public async IAsyncEnumerable<EncodedTransaction> ReadAsync(
        CaptureCheckpoint checkpoint, NpgsqlLogSequenceNumber after, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var sequence = new CausalSequence(self, checkpoint);
        await using var stream = await database.OpenChangeStreamAsync(checkpoint.Position, new SlotCopy(peer), cancellationToken);
        await foreach (var captured in stream.ReadAsync(cancellationToken))
        {
            if (sequence.Next(captured) is { } transaction && transaction.Position > after) yield return encoder.EncodeFor(peer, transaction);
        }
    }
}
