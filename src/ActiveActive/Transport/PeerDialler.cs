using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// Opens the stream of a peer's transactions: from the peer, or while that can't be reached, from the other that has most of them (R10).
/// </summary>
internal sealed class PeerDialler(PeerAddresses peer, PeerLinkContext context)
{
    private readonly PeerAbsence _absence = new(context.TimeProvider, context.RelayAfter);

    /// <param name="handshake">Who this node is.</param>
    /// <param name="durable">The last of the peer's transactions that is durable here.</param>
    /// <param name="applied">Where those wait that depend on the peer's transactions.</param>
    /// <param name="isParting">Whether nothing may be taken from the peer itself any more.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ReplicationException">Why the peer can't be dialled; then no other has more of its transactions either, or it is too early to ask.</exception>
    public async Task<PeerSource> OpenAsync(Handshake handshake, NpgsqlLogSequenceNumber durable, PositionGate applied, bool isParting, CancellationToken cancellationToken)
    {
        if (isParting)
        {
            return await FindRelayAsync(handshake, durable, cancellationToken)
                ?? throw new ReplicationException(ReplicationErrorKind.Transient, $"Peer '{peer.Name}' is being parted, and no node that can be reached has more of its transactions.");
        }

        _absence.Begin();
        try
        {
            var source = await DialAsync(peer, handshake, durable, cancellationToken);
            _absence.End();
            return source;
        }
        catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && _absence.IsDue(applied.IsAwaited))
        {
            if (await FindRelayAsync(handshake, durable, cancellationToken) is { } relay) return relay;
            throw;
        }
    }

    private async Task<PeerSource?> FindRelayAsync(Handshake handshake, NpgsqlLogSequenceNumber durable, CancellationToken cancellationToken)
    {
        PeerSource? best = null;
        foreach (var other in context.Peers)
        {
            if (other == peer) continue;
            try
            {
                var found = await DialAsync(other, handshake, durable, cancellationToken);
                var worse = found.Reach > (best?.Reach ?? durable) ? best : found;
                if (worse != found) best = found;
                if (worse is not null) await worse.DisposeAsync();
            }
            catch (ReplicationException)
            {
                // Away as well, or can't relay: its own link says what there is to say of it.
            }
            catch
            {
                if (best is not null) await best.DisposeAsync();
                throw;
            }
        }

        if (best is null) return null;
        try
        {
            // The one that is taken is told so; the others have only been asked how far they are.
            await best.Frames.WriteAsync(new AckFrame(durable), cancellationToken);
            await best.Frames.FlushAsync(cancellationToken);
            return best;
        }
        catch
        {
            await best.DisposeAsync();
            throw;
        }
    }

    private ValueTask<PeerSource> DialAsync(PeerAddresses target, Handshake handshake, NpgsqlLogSequenceNumber durable, CancellationToken cancellationToken) =>
        target.DialAsync(address => DialAsync(address, handshake, durable, cancellationToken));

    private async ValueTask<PeerSource> DialAsync(PeerAddress target, Handshake handshake, NpgsqlLogSequenceNumber durable, CancellationToken cancellationToken)
    {
        var connection = await context.Transport.ConnectAsync(target, cancellationToken);
        var frames = new FrameConnection(connection, $"Peer '{target.Name}'", context.MaxFrameBytes, context.ReadTimeout, context.TimeProvider);
        try
        {
            var welcome = await PeerGreeting.GreetAsync(frames, handshake, handshake.Hello(target.Name, peer.Name, durable, HelloPurpose.Changes, context.TakesCompressed(target)), cancellationToken);
            return new PeerSource(peer.Name, welcome, connection, frames);
        }
        catch
        {
            connection.Abort();
            await frames.DisposeAsync();
            await connection.DisposeAsync();
            throw;
        }
    }
}
