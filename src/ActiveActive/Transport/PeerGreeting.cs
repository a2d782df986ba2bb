namespace ActiveActive.Transport;

/// <summary>The dialler's first words: hello, and what the answer means.</summary>
internal static class PeerGreeting
{
    /// <summary>The refusal of a node that is still starting: dialled again soon.</summary>
    public const string NotReadyCode = "AA3000";

    /// <summary>The refusal of an instance that stands by for another: dialled again soon, since the next dial may reach that one.</summary>
    public const string StandbyCode = "AA3040";

    /// <returns>What the other side has, and how it will speak.</returns>
    /// <exception cref="PeerNotReadyException">The peer starts, or this is an instance that stands by.</exception>
    /// <exception cref="ReplicationException">PeerRefused, or Transient where the peer is gone.</exception>
    public static async ValueTask<WelcomeFrame> GreetAsync(FrameConnection frames, Handshake handshake, HelloFrame hello, CancellationToken cancellationToken)
    {
        var peer = hello.To;
        await frames.WriteAsync(hello, cancellationToken);
        await frames.FlushAsync(cancellationToken);
        switch (await frames.ReadAsync(cancellationToken))
        {
            case WelcomeFrame welcome:
                handshake.Accept(welcome, hello);
                frames.TakesCompressed = welcome.Features?.Contains(Handshake.Brotli) == true;
                return welcome;
            case RefuseFrame { Code: NotReadyCode or StandbyCode } refuse:
                throw new PeerNotReadyException($"{refuse.Code}: {refuse.Message}");
            case RefuseFrame refuse:
                throw new ReplicationException(ReplicationErrorKind.PeerRefused, $"Peer '{peer}' refused this node ({refuse.Code}): {refuse.Message}");
            case null:
                throw new ReplicationException(ReplicationErrorKind.Transient, $"Peer '{peer}' closed the connection at the handshake.");
            case var other:
                throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Peer '{peer}' answered the hello with a {other.GetType().Name}.");
        }
    }
}
