using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace ActiveActive.Postgres.Tests.SetUp;

/// <summary>Passes plain connections on to a server and refuses those for replication, in the words and with the code of PgBouncer.</summary>
internal sealed class RefusingPooler : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly (string Host, int Port) _server;
    private readonly Task _accepting;

    public RefusingPooler(string host, int port)
    {
        _server = (host, port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

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

    private async Task ServeAsync(TcpClient accepted)
    {
        try
        {
            using var client = accepted;
            var stream = client.GetStream();
            var length = new byte[4];
            await stream.ReadExactlyAsync(length, _stopping.Token);
            var startUp = new byte[BinaryPrimitives.ReadInt32BigEndian(length) - 4];
            await stream.ReadExactlyAsync(startUp, _stopping.Token);
            if (Encoding.UTF8.GetString(startUp).Contains("replication\0database\0", StringComparison.Ordinal))
            {
                await stream.WriteAsync(Error("SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: replication\0\0"), _stopping.Token);
                return;
            }

            using var server = new TcpClient();
            await server.ConnectAsync(_server.Host, _server.Port, _stopping.Token);
            await server.GetStream().WriteAsync((byte[])[.. length, .. startUp], _stopping.Token);
            await Task.WhenAny(stream.CopyToAsync(server.GetStream(), _stopping.Token), server.GetStream().CopyToAsync(stream, _stopping.Token));
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // One side has gone.
        }
    }

    private static byte[] Error(string fields)
    {
        var message = Encoding.UTF8.GetBytes("E____" + fields);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), message.Length - 1);
        return message;
    }
}
