using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <content>Pauses outlast a crash, as in a real database. Nobody reads reports or asks for anything here: a test has the node itself.</content>
internal sealed partial class InMemoryDatabase : INodeDesk
{
    public INodeDesk Desk => this;

    public ValueTask<DeskState> ReadDeskAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(new DeskState([.. _server.PausedPeers], IsAsked: false));
        }
    }

    public ValueTask SavePauseAsync(NodeName peer, bool isPaused, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            if (isPaused) _server.PausedPeers.Add(peer);
            else _server.PausedPeers.Remove(peer);
            return default;
        }
    }

    public ValueTask SaveReportAsync(string report, CancellationToken cancellationToken) => default;

    public ValueTask AbandonCommandsAsync(CancellationToken cancellationToken) => default;

    public ValueTask<NodeCommand?> TakeCommandAsync(CancellationToken cancellationToken) => new((NodeCommand?)null);

    public ValueTask EndCommandAsync(long id, CommandOutcome outcome, CancellationToken cancellationToken) => default;
}
