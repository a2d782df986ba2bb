namespace ActiveActive;

/// <summary>Describes a peer in code; see <see cref="ReplicationNodeBuilder.AddPeer(string, Uri, Action{PeerBuilder})"/>.</summary>
public sealed class PeerBuilder
{
    internal PeerBuilder(PeerOptions options) => Options = options;

    /// <summary>The settings that the methods fill.</summary>
    public PeerOptions Options { get; }

    /// <summary>A certificate that speaks for the peer, by SHA-256 thumbprint or DNS name; further calls add further ones. See <see cref="PeerOptions.Certificates"/>.</summary>
    public PeerBuilder Certificate(string thumbprintOrName)
    {
        Options.Certificates.Add(thumbprintOrName);
        return this;
    }

    /// <summary>A token that speaks for the peer; further calls add further ones. See <see cref="PeerOptions.Tokens"/>.</summary>
    public PeerBuilder Token(string token)
    {
        Options.Tokens.Add(token);
        return this;
    }

    /// <summary>The token that this node shows to the peer; see <see cref="PeerOptions.OwnToken"/>.</summary>
    public PeerBuilder ShowToken(string token) => ShowToken(() => token);

    /// <summary>The token that this node shows to the peer, called for each dial; see <see cref="PeerOptions.OwnToken"/>.</summary>
    public PeerBuilder ShowToken(Func<string> token)
    {
        Options.OwnToken = token;
        return this;
    }

    /// <summary>Allows connections without TLS; see <see cref="PeerOptions.AllowPlaintext"/>.</summary>
    public PeerBuilder AllowPlaintext()
    {
        Options.AllowPlaintext = true;
        return this;
    }
}
