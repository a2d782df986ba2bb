using System.IO.Pipelines;

namespace ActiveActive.Testing.Transport;

/// <summary>The counterpart of the reader of that name: any thread may cut it, and the writer at work then fails at its next step.</summary>
internal sealed class CuttablePipeWriter(PipeWriter inner) : PipeWriter
{
    private volatile bool _isCut;

    public void Cut()
    {
        _isCut = true;
        inner.CancelPendingFlush();
    }

    public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfCut();
        var result = await inner.FlushAsync(cancellationToken);
        ThrowIfCut();
        return result;
    }

    public override void Advance(int bytes) => inner.Advance(bytes);

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ThrowIfCut();
        return inner.GetMemory(sizeHint);
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        ThrowIfCut();
        return inner.GetSpan(sizeHint);
    }

    public override void CancelPendingFlush() => inner.CancelPendingFlush();

    public override void Complete(Exception? exception = null) => inner.Complete(exception);

    private void ThrowIfCut()
    {
        if (_isCut) throw new IOException("The connection was cut.");
    }
}
