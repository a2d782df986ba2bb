using System.Net;
using System.Net.Sockets;

namespace ActiveActive.Benchmarks.Hosts;

/// <summary>
/// Picks ports below those that systems give to outgoing connections.
/// </summary>
internal static class FreePorts
{
    private const int Lowest = 15_000;
    private const int Highest = 32_000;

    public static List<int> Pick(int count)
    {
        var ports = new HashSet<int>();
        for (var attempt = 0; ports.Count < count; attempt++)
        {
            if (attempt > 1_000) throw new BenchmarkException($"127.0.0.1 has no {count} free ports between {Lowest} and {Highest}.");
            var port = Random.Shared.Next(Lowest, Highest);
            if (IsFree(port)) ports.Add(port);
        }

        return [.. ports];
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
