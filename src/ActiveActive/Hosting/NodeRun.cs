using ActiveActive.Capture;
using ActiveActive.Progress;
using ActiveActive.Transport;

namespace ActiveActive.Hosting;

/// <summary>One life of a node's engine, from its set-up to the first fault of its own database. Positions and index live as long.</summary>
internal sealed record NodeRun(Handshake Handshake, ReplicationProgress Progress, ChangeCapture Capture);
