using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using ActiveActive.Routes;

namespace ActiveActive.Transport;

/// <summary>
/// Asks for rows of a peer's transaction over a connection of its own: on the stream of changes the answer would stand behind all that is on its way, and
/// the stream is not read on while its apply worker waits. The peer itself is asked, or while it can't be reached, the others that have applied the transaction.
/// </summary>
internal sealed class RowFetcher(PeerAddresses peer, PeerLinkContext context, Handshake handshake, Func<NodeName?> relayedBy)
{
    /// <exception cref="ReplicationException">Transient: the peer can't be reached, and no other has the rows. ApplyRefused: it can't answer.</exception>
    public async ValueTask<IReadOnlyList<FetchedRow>> FetchAsync(ChangeTransaction transaction, IReadOnlyList<RowToFetch> rows, CancellationToken cancellationToken)
    {
        var relay = relayedBy();
        ReplicationException? fault = null;
        // A peer whose stream another node relays is away.
        foreach (var target in context.Peers.Where(p => MayBeAsked(context.Routes, p.Name, transaction.Origin, rows)).OrderByDescending(p => p.Name == (relay ?? peer.Name)).ThenByDescending(p => p == peer))
        {
            try
            {
                return await target.DialAsync(address => FetchAsync(address, transaction, rows, cancellationToken));
            }
            catch (ReplicationException e)
            {
                if (target == peer || fault is null) fault = e;
                if (target == peer && e.Kind != ReplicationErrorKind.Transient) break;
            }
        }

        throw new ReplicationException(fault?.Kind ?? ReplicationErrorKind.Transient, $"Transaction {transaction.Origin} {transaction.Position} waits for {rows.Count} of its rows from node '{peer.Name}': {fault?.Message ?? "nobody may be asked for them."}", fault);
    }

    /// <summary>Who asks names the keys of rows: only one who holds all rows of their tables is told, and who wrote them.</summary>
    public static bool MayBeAsked(TableRoutes routes, NodeName node, NodeName origin, IReadOnlyList<RowToFetch> rows) =>
        routes.IsEmpty || Safeguards.IsOff(Safeguard.RouteOnRowFetch) || rows.All(r => node == origin || routes.MayBeTold(node, r.Table));

    private async ValueTask<IReadOnlyList<FetchedRow>> FetchAsync(PeerAddress target, ChangeTransaction transaction, IReadOnlyList<RowToFetch> rows, CancellationToken cancellationToken)
    {
        await using var connection = await context.Transport.ConnectAsync(target, cancellationToken);
        await using var frames = new FrameConnection(connection, $"Peer '{target.Name}'", context.MaxFrameBytes, context.ReadTimeout, context.TimeProvider);
        await PeerGreeting.GreetAsync(frames, handshake, handshake.Hello(target.Name, peer.Name, transaction.Position, HelloPurpose.Rows, takesCompressed: false), cancellationToken);
        await frames.WriteAsync(new RowRequestFrame(transaction.Position, rows), cancellationToken);
        await frames.FlushAsync(cancellationToken);
        return await ReadAsync(frames, transaction, rows, cancellationToken);
    }

    private async ValueTask<IReadOnlyList<FetchedRow>> ReadAsync(FrameConnection frames, ChangeTransaction transaction, IReadOnlyList<RowToFetch> rows, CancellationToken cancellationToken)
    {
        var fetched = new List<FetchedRow>(rows.Count);
        var characters = 0L;
        while (fetched.Count < rows.Count)
        {
            switch (await frames.ReadAsync(cancellationToken))
            {
                case RowFrame { Row: var row }:
                    var length = row.Row?.Values.Sum(v => (long)(v?.Length ?? 0)) ?? 0;
                    // A later write's row is kept for its turn where there is room; else it is asked for again.
                    if (row.Position > transaction.Position && characters + length > context.MaxFrameBytes) row = row with { Row = null };
                    else characters += length;
                    if (characters > context.MaxFrameBytes) throw TooLarge(rows[fetched.Count].Table);
                    fetched.Add(row);
                    break;
                case RefuseFrame refuse:
                    throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"it does not answer ({refuse.Code}): {refuse.Message}");
                case null:
                    throw new ReplicationException(ReplicationErrorKind.Transient, "it closed the connection.");
                case var other:
                    throw new ReplicationException(ReplicationErrorKind.Corrupt, $"it sent a {other.GetType().Name} in place of a row.");
            }
        }

        return fetched;
    }

    private ReplicationException TooLarge(TableName table) => new(ReplicationErrorKind.ApplyRefused,
        $"the rows of {table} that one part of the transaction needs exceed {nameof(ReplicationNodeOptions.MaxFrameBytes)} ({context.MaxFrameBytes} bytes). Raise it on this node, or lower {nameof(ReplicationNodeOptions.MaxChangesPerPart)} on node '{peer.Name}'.");
}
