using System.IO.Pipelines;
using System.Net;

namespace ActiveActive.Transport;

/// <summary>A request body that is written while the response is read: whatever comes out of a pipe, sent as it comes.</summary>
internal sealed class DuplexContent : HttpContent
{
    private readonly PipeReader _source;
    private readonly CancellationToken _aborted;

    public DuplexContent(PipeReader source, CancellationToken aborted)
    {
        _source = source;
        _aborted = aborted;
        Headers.ContentType = new(PeerProtocol.ContentType);
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _aborted);
        try
        {
            // The headers go out at once: the other side answers before we have anything to say.
            await stream.FlushAsync(linked.Token);
            while (true)
            {
                var result = await _source.ReadAsync(linked.Token);
                foreach (var segment in result.Buffer) await stream.WriteAsync(segment, linked.Token);
                await stream.FlushAsync(linked.Token);
                _source.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted) break;
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested && !_aborted.IsCancellationRequested)
        {
            // The handler gives up on a request whose answer failed. It knows why; a cancellation from here would hide that.
        }
        finally
        {
            // Completing the source tells a writer that nobody reads any more.
            await _source.CompleteAsync();
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}

/// <summary>What both ends of the HTTP transport agree on.</summary>
internal static class PeerProtocol
{
    public const string ContentType = "application/vnd.active-active";

    public const string DefaultPath = "/active-active";
}
