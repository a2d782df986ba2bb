using System.Runtime.CompilerServices;
using ActiveActive.Transport;

namespace ActiveActive.Membership;

/// <summary>Reads one table as the donor sends it: rows, then keys, then its end.</summary>
internal sealed class CopiedTableReader(FrameConnection frames, NodeName donor)
{
    private Frame? _next;
    private bool _isOver;

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadRowsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            _next = await ReadAsync(frames, donor, cancellationToken);
            if (_next is not CopiedRowsFrame { Rows: var rows }) yield break;
            yield return rows;
        }
    }

    /// <summary>The next keys, once the rows were read to their end; null at the table's end.</summary>
    public async ValueTask<IReadOnlyList<CopiedKey>?> ReadKeysAsync(CancellationToken cancellationToken)
    {
        if (_isOver) return null;
        var frame = _next ?? await ReadAsync(frames, donor, cancellationToken);
        _next = null;
        switch (frame)
        {
            case CopiedKeysFrame { Keys: var keys }:
                return keys;
            case CopiedTableFrame:
                _isOver = true;
                return null;
            default:
                throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Node '{donor}' sent a {frame.GetType().Name} in a table that is copied.");
        }
    }

    /// <summary>The next frame that says something.</summary>
    /// <exception cref="ReplicationException">Transient: the donor ended the connection, or says that it can't go on.</exception>
    public static async ValueTask<Frame> ReadAsync(FrameConnection frames, NodeName donor, CancellationToken cancellationToken)
    {
        while (true)
        {
            switch (await frames.ReadAsync(cancellationToken))
            {
                case PingFrame: break;
                case null: throw new ReplicationException(ReplicationErrorKind.Transient, $"Node '{donor}' ended the connection while data was copied from it.");
                case RefuseFrame refuse: throw new ReplicationException(ReplicationErrorKind.Transient, $"Node '{donor}' does not go on ({refuse.Code}): {refuse.Message}");
                case { } frame: return frame;
            }
        }
    }
}
