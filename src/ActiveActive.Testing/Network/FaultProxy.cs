using System.Net;
using System.Net.Sockets;

namespace ActiveActive.Testing;

/// <summary>
/// A TCP line with faults: listens on 127.0.0.1, passes every connection on to a target, and treats the bytes as <see cref="Upstream"/> and
/// <see cref="Downstream"/> say. Give a node the proxy's <see cref="Address"/> in place of its peer's. Safe for concurrent use; faults may change while bytes flow.
/// </summary>
/// <remarks>
/// Over TCP a network that loses packets shows as one that is late (<see cref="FaultProxyDirection.Latency"/>, <see cref="FaultProxyDirection.IsStalled"/>), or, where it goes
/// on, as a connection that is dead without being closed (<see cref="FaultProxyDirection.LosesBytes"/>).
/// </remarks>
public sealed class FaultProxy : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _stopping = new();
    private readonly HashSet<ProxiedConnection> _connections = [];
    private readonly IPEndPoint _target;
    private readonly Task _accepting;
    private volatile bool _refuses;
    private bool _isDisposed;

    private FaultProxy(IPEndPoint target)
    {
        _target = target;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(128);
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        _accepting = AcceptAsync();
    }

    /// <summary>The port on 127.0.0.1 that it listens on.</summary>
    public int Port { get; }

    /// <summary>What a peer dials: <c>http://127.0.0.1:port</c>. With TLS, use <see cref="Port"/> and the name in the target's certificate.</summary>
    public Uri Address => new($"http://127.0.0.1:{Port}");

    /// <summary>From the side that dials to the target.</summary>
    public FaultProxyDirection Upstream { get; } = new();

    /// <summary>From the target to the side that dials.</summary>
    public FaultProxyDirection Downstream { get; } = new();

    /// <summary>Whether new connections are reset at once; those that are open stay. Default: false.</summary>
    public bool Refuses
    {
        get => _refuses;
        set => _refuses = value;
    }

    /// <summary>How many connections are open, dead ones included.</summary>
    public int OpenConnections
    {
        get
        {
            lock (_connections) return _connections.Count;
        }
    }

    /// <summary>Listens from now on. Nothing needs to listen at the target yet: where nothing does, a connection is reset.</summary>
    /// <param name="target">Where connections go.</param>
    public static FaultProxy Start(IPEndPoint target)
    {
        ArgumentNullException.ThrowIfNull(target);
        return new FaultProxy(target);
    }

    /// <summary>The same for a port of 127.0.0.1.</summary>
    /// <param name="targetPort">Where connections go, 1 to 65535.</param>
    public static FaultProxy Start(int targetPort) => Start(new IPEndPoint(IPAddress.Loopback, targetPort));

    /// <summary>Resets all connections, both ways. What was on its way is lost. New connections pass.</summary>
    public void Cut() => End(c => c.Reset());

    /// <summary>Ends all connections in order, both ways. What was on its way is lost. New connections pass.</summary>
    public void Close() => End(c => c.Close());

    /// <summary>A black hole: bytes of both ways are lost from now on, and nobody is told. New connections are accepted, and never answered.</summary>
    public void BlackHole() => Upstream.LosesBytes = Downstream.LosesBytes = true;

    /// <summary>Ends all faults. A connection that has lost bytes stays dead, as behind a firewall that has forgotten it.</summary>
    public void Heal()
    {
        Refuses = false;
        Upstream.Heal();
        Downstream.Heal();
    }

    /// <summary>Stops listening and resets all connections.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        await _stopping.CancelAsync();
        _listener.Dispose();
        await _accepting;
        Cut();
        _stopping.Dispose();
    }

    private void End(Action<ProxiedConnection> end)
    {
        // Whoever is among them is not disposed meanwhile.
        lock (_connections)
        {
            foreach (var connection in _connections.ToArray()) end(connection);
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var from = await _listener.AcceptAsync(_stopping.Token);
                if (Refuses) ProxiedConnection.Reset(from);
                else _ = PassAsync(from);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // Disposed.
        }
    }

    private async Task PassAsync(Socket from)
    {
        var to = new Socket(_target.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var connection = new ProxiedConnection(from, to, Upstream, Downstream);
        lock (_connections) _connections.Add(connection);
        try
        {
            await to.ConnectAsync(_target, _stopping.Token);
            await connection.RunAsync();
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // Nothing listens there, or it was cut meanwhile.
            connection.Reset();
        }
        finally
        {
            lock (_connections) _connections.Remove(connection);
        }
    }
}
