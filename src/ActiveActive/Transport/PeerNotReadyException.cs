namespace ActiveActive.Transport;

/// <summary>The peer answers, and does not replicate yet, or another of its instances does: transient, and worth another dial soon.</summary>
internal sealed class PeerNotReadyException(string message) : ReplicationException(ReplicationErrorKind.Transient, message);
