using System.Net;
using System.Net.Sockets;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>A line between two nodes through which bytes pass until told otherwise: those of the side that dials can get lost, and the line be cut.</summary>
internal sealed class CuttableLine : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<TcpClient> _clients = [];
    private readonly int _target;
    private readonly Task _accepting;
    private volatile bool _losesRequests;

    public CuttableLine(int target)
    {
        _target = target;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri Address => new($"http://localhost:{((IPEndPoint)_listener.LocalEndpoint).Port}");

    /// <summary>What the dialling side sends from now on is lost.</summary>
    public void LoseRequests() => _losesRequests = true;

    /// <summary>Ends the connections; new ones pass everything again.</summary>
    public void Cut()
    {
        lock (_clients)
        {
            foreach (var client in _clients) client.Dispose();
            _clients.Clear();
            _losesRequests = false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _listener.Stop();
        Cut();
        await _accepting;
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var from = await _listener.AcceptTcpClientAsync(_stopping.Token);
                var to = new TcpClient();
                lock (_clients) _clients.AddRange([from, to]);
                await to.ConnectAsync(IPAddress.Loopback, _target, _stopping.Token);
                _ = PassAsync(from, to, isRequest: true);
                _ = PassAsync(to, from, isRequest: false);
            }
        }
        catch (Exception) when (_stopping.IsCancellationRequested)
        {
        }
    }

    private async Task PassAsync(TcpClient from, TcpClient to, bool isRequest)
    {
        try
        {
            var buffer = new byte[64 << 10];
            while (await from.GetStream().ReadAsync(buffer, _stopping.Token) is var count and > 0)
            {
                if (isRequest && _losesRequests) continue;
                await to.GetStream().WriteAsync(buffer.AsMemory(0, count), _stopping.Token);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            // Cut, or one of the hosts has ended the connection.
        }
        finally
        {
            from.Dispose();
            to.Dispose();
        }
    }
}
