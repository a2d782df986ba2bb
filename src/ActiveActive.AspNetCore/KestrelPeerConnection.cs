using System.IO.Pipelines;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Http;

namespace ActiveActive.AspNetCore;

/// <summary>The accepting end of an HTTP/2 stream. It is valid until the request's handler returns.</summary>
internal sealed class KestrelPeerConnection(HttpContext context) : IPeerConnection
{
    private readonly Lock _gate = new();
    private bool _ended;

    public PipeReader Input { get; } = context.Request.BodyReader;

    public PipeWriter Output { get; } = context.Response.BodyWriter;

    public void Abort()
    {
        // The context serves another request after this one has ended, so an abort must be over before the end goes on.
        lock (_gate)
        {
            if (_ended) return;
            _ended = true;
            context.Abort();
        }
    }

    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_ended) return;
            _ended = true;
        }

        try
        {
            await context.Response.CompleteAsync();
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or InvalidOperationException)
        {
            // The dialler is gone, which ends the connection as well.
        }
    }
}
