namespace ActiveActive.Transport;

internal sealed partial class FrameConnection
{
    /// <summary>Whether transactions are sent compressed where that pays: the welcome said so.</summary>
    public bool SendsCompressed { get; set; }

    /// <summary>Whether compressed frames are taken: the welcome said that they may come.</summary>
    public bool TakesCompressed
    {
        get => _decoder.TakesCompressed;
        set => _decoder.TakesCompressed = value;
    }

    /// <summary>
    /// Writes the next of consecutive transactions, or a whole block of them, compressed. They are sent with the next flush, or when enough has gathered. Where many
    /// wait, the line is slower than the writes, and there are whole blocks; a single one goes at once, as it is unless it is large.
    /// </summary>
    /// <returns>The place behind what was written.</returns>
    /// <exception cref="ReplicationException">Transient: the connection is lost.</exception>
    public async ValueTask<int> WriteNextAsync(IReadOnlyList<EncodedTransaction> transactions, int place, CancellationToken cancellationToken)
    {
        if (SendsCompressed && WholeBlockAt(transactions, place) is { FrameBytes: { } frame } block && await TryAnnounceAsync(block, cancellationToken))
        {
            await WriteAsync(frame, cancellationToken);
            return place + block.Transactions.Count;
        }

        await WriteAsync(transactions[place], cancellationToken);
        return place + 1;
    }

    private static EncodedBlock? WholeBlockAt(IReadOnlyList<EncodedTransaction> transactions, int start)
    {
        if (transactions[start].Block is not { IsWhole: true, Transactions: { Count: > 1 } members } block) return null;
        return ReferenceEquals(members[0], transactions[start]) && start + members.Count <= transactions.Count && ReferenceEquals(members[^1], transactions[start + members.Count - 1]) ? block : null;
    }

    /// <summary>Announces the relations of all of a block's transactions; false where the other side can't know that many at a time.</summary>
    private async ValueTask<bool> TryAnnounceAsync(EncodedBlock block, CancellationToken cancellationToken)
    {
        if (block.Transactions.All(t => KnowsAll(t.Relations))) return true;
        EncodedRelation[] relations = [.. block.Transactions.SelectMany(static t => t.Relations).DistinctBy(static r => r.Id)];
        if (CostOf(relations) > _announced.CapacityBytes) return false;
        await AnnounceAsync(relations, cancellationToken);
        return true;
    }
}
