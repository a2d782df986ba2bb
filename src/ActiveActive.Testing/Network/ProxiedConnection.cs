using System.Net.Sockets;

namespace ActiveActive.Testing;

/// <summary>One connection through a <see cref="FaultProxy"/>: two sockets, and a pump for each direction.</summary>
internal sealed class ProxiedConnection(Socket from, Socket to, FaultProxyDirection upstream, FaultProxyDirection downstream) : IDisposable
{
    private readonly CancellationTokenSource _ended = new();

    /// <summary>Returns when both directions have ended.</summary>
    public async Task RunAsync()
    {
        from.NoDelay = to.NoDelay = true;
        var pumps = new[] { new ProxyPump(from, to, upstream), new ProxyPump(to, from, downstream) };
        await Task.WhenAll(pumps.Select(RunAsync));
    }

    public void Reset()
    {
        _ended.Cancel();
        Reset(from);
        Reset(to);
    }

    public void Close()
    {
        Close(from);
        Close(to);
        // Only then, since pumps that end early reset the connection.
        _ended.Cancel();
    }

    public void Dispose()
    {
        from.Dispose();
        to.Dispose();
        _ended.Dispose();
    }

    public static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has ended otherwise.
        }

        socket.Dispose();
    }

    private static void Close(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has ended otherwise.
        }

        socket.Dispose();
    }

    private async Task RunAsync(ProxyPump pump)
    {
        try
        {
            await pump.RunAsync(_ended.Token);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // A reset of one side reaches the other, unless nothing does.
            if (!pump.HasLost) Reset();
        }
    }
}
