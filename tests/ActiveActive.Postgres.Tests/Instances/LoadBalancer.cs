using System.Net;
using System.Net.Sockets;

namespace ActiveActive.Postgres.Tests.Instances;

/// <summary>A load balancer that knows nothing but TCP: it gives each connection to the next instance that accepts it.</summary>
internal sealed class LoadBalancer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly IReadOnlyList<int> _ports;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _accepting;
    private int _next;

    public LoadBalancer(IReadOnlyList<int> ports)
    {
        _ports = ports;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _accepting;
        _listener.Dispose();
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        var serving = new List<Task>();
        try
        {
            while (true) serving.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stopping.Token)));
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var left = client;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        try
        {
            var instance = await ConnectAsync();
            if (instance is null) return;
            using var open = instance;
            await Task.WhenAny(left.GetStream().CopyToAsync(open.GetStream(), ended.Token), open.GetStream().CopyToAsync(left.GetStream(), ended.Token));
            await ended.CancelAsync();
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or InvalidOperationException)
        {
            // One side is gone, and with it the connection.
        }
    }

    private async Task<TcpClient?> ConnectAsync()
    {
        for (var tries = 0; tries < _ports.Count; tries++)
        {
            var instance = new TcpClient();
            try
            {
                await instance.ConnectAsync(IPAddress.Loopback, _ports[_next++ % _ports.Count], _stopping.Token);
                return instance;
            }
            catch (SocketException)
            {
                instance.Dispose();
            }
        }

        return null;
    }
}
