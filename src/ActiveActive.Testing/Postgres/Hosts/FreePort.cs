using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace ActiveActive.Testing;

/// <summary>
/// Picks a port of 127.0.0.1 BELOW the range from which the system serves outgoing connections. A port from inside that
/// range (what binding port 0 gives) can be taken by any outgoing connection while the server is stopped, or by a
/// client that retries to connect to it: on the loopback it may be given the very port it calls, and reach itself.
/// </summary>
internal static class FreePort
{
    private const int Lowest = 15_000;
    private const int Attempts = 100;

    public static int Pick()
    {
        int end = FirstOutgoingPort();
        for (int i = 0; i < Attempts && end > Lowest; i++)
        {
            int port = RandomNumberGenerator.GetInt32(Lowest, end);
            if (TryBind(port) is not null)
                return port;
        }

        return TryBind(0) ?? throw new PostgresServerException("127.0.0.1 has no free TCP port.");
    }

    private static int? TryBind(int port)
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return ((IPEndPoint)socket.LocalEndPoint!).Port;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private static int FirstOutgoingPort()
    {
        const string range = "/proc/sys/net/ipv4/ip_local_port_range";
        return File.Exists(range) && int.TryParse(File.ReadAllText(range).Split('\t', ' ')[0], out int first) ? first : 49_152;
    }
}
