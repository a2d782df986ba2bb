using System.IO.Pipelines;

namespace ActiveActive.Transport;

/// <summary>
/// A reader that any thread may cut. Completing a pipe under a reader that is at work would hand its buffers back while they are read;
/// a cut only wakes it up and makes it fail.
/// </summary>
internal sealed class CuttablePipeReader(PipeReader inner) : PipeReader
{
    private volatile bool _isCut;

    public bool IsCut => _isCut;

    public void Cut()
    {
        _isCut = true;
        inner.CancelPendingRead();
    }

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfCut();
        var result = await inner.ReadAsync(cancellationToken);
        ThrowIfCut();
        return result;
    }

    public override bool TryRead(out ReadResult result)
    {
        ThrowIfCut();
        return inner.TryRead(out result);
    }

    public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => inner.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => inner.CancelPendingRead();

    public override void Complete(Exception? exception = null) => inner.Complete(exception);

    public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);

    private void ThrowIfCut()
    {
        if (_isCut) throw new IOException("The connection was cut.");
    }
}
