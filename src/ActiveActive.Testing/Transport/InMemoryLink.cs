using System.IO.Pipelines;
using ActiveActive.Transport;

namespace ActiveActive.Testing.Transport;

/// <summary>One connection of an <see cref="InMemoryNetwork"/>: two pipes, crossed.</summary>
internal sealed class InMemoryLink
{
    private const int BufferBytes = 64 << 10;

    private readonly NodeName _from;
    private readonly NodeName _to;
    private readonly Action<InMemoryLink> _onEnd;
    private int _openEnds = 2;
    private int _broken;

    public InMemoryLink(NodeName from, NodeName to, PipeScheduler? scheduler, LinkFaults? faults, Action<InMemoryLink> onEnd)
    {
        _from = from;
        _to = to;
        _onEnd = onEnd;
        var options = new PipeOptions(
            readerScheduler: scheduler, writerScheduler: scheduler, pauseWriterThreshold: BufferBytes, resumeWriterThreshold: BufferBytes / 2);
        var (fromDialler, toAcceptor) = Direction(from, to, options, faults);
        var (fromAcceptor, toDialler) = Direction(to, from, options, faults);
        Dialler = new InMemoryPeerConnection(this, toDialler, fromDialler);
        Acceptor = new InMemoryPeerConnection(this, toAcceptor, fromAcceptor);
    }

    public InMemoryPeerConnection Dialler { get; }

    public InMemoryPeerConnection Acceptor { get; }

    public bool IsBroken => Volatile.Read(ref _broken) != 0;

    public bool IsBetween(NodeName a, NodeName b) => (_from == a && _to == b) || (_from == b && _to == a);

    public bool Touches(NodeName node) => _from == node || _to == node;

    /// <summary>Both ends fail from now on, and what is under way is lost, as when a cable is cut.</summary>
    public void Break()
    {
        if (Interlocked.Exchange(ref _broken, 1) != 0) return;
        _onEnd(this);
        Dialler.Cut();
        Acceptor.Cut();
    }

    public void EndClosed()
    {
        if (Interlocked.Decrement(ref _openEnds) == 0) _onEnd(this);
    }

    private (PipeWriter Sender, PipeReader Receiver) Direction(NodeName from, NodeName to, PipeOptions options, LinkFaults? faults)
    {
        var near = new Pipe(options);
        if (faults is null) return (near.Writer, near.Reader);
        var far = new Pipe(options);
        _ = new FrameRelay(from, to, near.Reader, far.Writer, faults, Break).RunAsync();
        return (near.Writer, far.Reader);
    }
}

/// <summary>One end of an <see cref="InMemoryLink"/>.</summary>
internal sealed class InMemoryPeerConnection : IPeerConnection
{
    private readonly InMemoryLink _link;
    private readonly CuttablePipeReader _input;
    private readonly CuttablePipeWriter _output;
    private int _disposed;

    public InMemoryPeerConnection(InMemoryLink link, PipeReader input, PipeWriter output)
    {
        _link = link;
        _input = new CuttablePipeReader(input);
        _output = new CuttablePipeWriter(output);
    }

    public PipeReader Input => _input;

    public PipeWriter Output => _output;

    public void Abort() => _link.Break();

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _output.CompleteAsync();
        await _input.CompleteAsync();
        _link.EndClosed();
    }

    internal void Cut()
    {
        _input.Cut();
        _output.Cut();
    }
}
