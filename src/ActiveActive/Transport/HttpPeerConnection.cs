using System.IO.Pipelines;

namespace ActiveActive.Transport;

/// <summary>The dialler's end of an HTTP/2 stream.</summary>
internal sealed class HttpPeerConnection : IPeerConnection
{
    private const int ReadBufferBytes = 64 << 10;
    private static readonly TimeSpan s_partingTime = TimeSpan.FromSeconds(1);

    private readonly HttpResponseMessage _response;
    private readonly CancellationTokenSource _aborted;
    private readonly IDisposable _client;
    private readonly CuttablePipeReader _input;
    private int _disposed;

    /// <param name="response">Headers read, body not.</param>
    /// <param name="body">Its body.</param>
    /// <param name="output">What the request's <see cref="DuplexContent"/> sends.</param>
    /// <param name="aborted">Ends that content.</param>
    /// <param name="client">Has the TCP connection, which ends with this one.</param>
    public HttpPeerConnection(HttpResponseMessage response, Stream body, PipeWriter output, CancellationTokenSource aborted, IDisposable client)
    {
        _client = client;
        _response = response;
        _aborted = aborted;
        _input = new CuttablePipeReader(PipeReader.Create(body, new StreamPipeReaderOptions(bufferSize: ReadBufferBytes, minimumReadSize: 4096)));
        Output = output;
    }

    public PipeReader Input => _input;

    public PipeWriter Output { get; }

    public void Abort()
    {
        if (Volatile.Read(ref _disposed) != 0) return;
        _input.Cut();
        _aborted.Cancel();
        _response.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await Output.CompleteAsync();
        if (!_input.IsCut) await PartAsync();
        await _input.CompleteAsync();
        await _aborted.CancelAsync();
        _response.Dispose();
        _client.Dispose();
        _aborted.Dispose();
    }

    /// <summary>
    /// Waits a moment for the other side to end as well. Without that, ending here resets the stream, and what was written last might
    /// not be read.
    /// </summary>
    private async Task PartAsync()
    {
        using var patience = new CancellationTokenSource(s_partingTime);
        try
        {
            while (true)
            {
                var result = await _input.ReadAsync(patience.Token);
                _input.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted) return;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or HttpRequestException or InvalidOperationException)
        {
            // The other side does not end in time, or is gone: the reset that follows is all there is to do.
        }
    }
}
