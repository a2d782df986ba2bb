using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Credentials;

/// <summary>Whether a dialler may be who its hello says, by its credential and nothing else that it sends.</summary>
internal sealed partial class PeerGate(NodeName self, CredentialStore credentials, IPeerAuthorizationPolicy policy, ILogger logger)
{
    public CredentialStore Credentials => credentials;

    /// <returns>Null where it may.</returns>
    public async ValueTask<RefuseFrame?> RefusalAsync(HelloFrame hello, PresentedCredential shown, CancellationToken cancellationToken)
    {
        var current = credentials.Current;
        var peer = current.Of(hello.From);
        if (!shown.IsEncrypted && !shown.IsLocal && !current.AllowPlaintext && !peer.AllowPlaintext)
            return new("AA3053", $"Node '{hello.From}' came to node '{self}' without TLS. Use an https address; or say AllowPlaintext on both where the network itself is encrypted.");

        var evidence = current.Evaluate(shown);
        var context = new PeerAuthorizationContext
        {
            Node = self,
            Peer = hello.From,
            ProvenByCertificate = evidence.ByCertificate,
            ProvenByToken = evidence.ByToken,
            IsProofRequired = peer.IsProofRequired,
            IsAdmitted = evidence.IsAdmitted,
            Certificate = shown.Certificate,
            User = shown.User,
            RemoteAddress = shown.RemoteAddress,
            Origin = hello.Origin,
            Purpose = (PeerPurpose)hello.Purpose,
        };
        try
        {
            var answer = await policy.AuthorizeAsync(context, cancellationToken);
            if (answer.Reason is not { } reason) return null;
            return policy is PeerCredentialPolicy
                ? new("AA3050", evidence.CertificateProblem is { } problem ? $"{reason} {problem}" : reason)
                : new("AA3051", $"The authorization policy of node '{self}' refuses '{hello.From}': {reason}");
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            LogPolicyFailed(e, self, hello.From);
            return new("AA3051", $"The authorization policy of node '{self}' failed with a {e.GetType().Name}, so that '{hello.From}' is not let in. The log of '{self}' has the exception.");
        }
    }

    /// <summary>Asks again whenever the credentials change, until disposed.</summary>
    /// <param name="hello">What the peer said.</param>
    /// <param name="shown">What it has shown.</param>
    /// <param name="refuse">Called where it may no longer be who it is.</param>
    public IDisposable Watch(HelloFrame hello, PresentedCredential shown, Action<RefuseFrame> refuse) => new CredentialWatch(this, hello, shown, refuse);

    [LoggerMessage(EventId = 3055, Level = LogLevel.Error, Message = "AA3055: the authorization policy of node '{Node}' failed when peer '{Peer}' dialled, which counts as a refusal")]
    private partial void LogPolicyFailed(Exception exception, NodeName node, NodeName peer);

    private sealed class CredentialWatch : IDisposable
    {
        private readonly PeerGate _gate;
        private readonly HelloFrame _hello;
        private readonly PresentedCredential _shown;
        private readonly Action<RefuseFrame> _refuse;
        private readonly Lock _ending = new();
        private bool _ended;

        public CredentialWatch(PeerGate gate, HelloFrame hello, PresentedCredential shown, Action<RefuseFrame> refuse)
        {
            (_gate, _hello, _shown, _refuse) = (gate, hello, shown, refuse);
            gate.Credentials.Changed += LookAgain;
            // They may have changed since the peer was let in.
            LookAgain();
        }

        public void Dispose()
        {
            _gate.Credentials.Changed -= LookAgain;
            lock (_ending) _ended = true;
        }

        private void LookAgain() => _ = LookAgainAsync();

        private async Task LookAgainAsync()
        {
            if (await _gate.RefusalAsync(_hello, _shown, CancellationToken.None) is not { } refusal) return;
            lock (_ending)
            {
                // The connection serves another request once this one has ended.
                if (_ended) return;
                _ended = true;
                _refuse(refusal);
            }
        }
    }
}
