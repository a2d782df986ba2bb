using System.Runtime.ExceptionServices;

namespace ActiveActive.Transport;

/// <summary>A peer's name and where its instances are dialled. The stream, row fetches and relays share it, and with it which address led last.</summary>
internal sealed class PeerAddresses(NodeName name, IReadOnlyList<Uri> addresses)
{
    private int _led;

    public NodeName Name => name;

    /// <summary>Dials one address after the other, beginning with the one that led last, until one answers.</summary>
    /// <exception cref="ReplicationException">What is most worth knowing of why none did: that an instance stands by, that one refuses, or what the last said.</exception>
    public async ValueTask<T> DialAsync<T>(Func<PeerAddress, ValueTask<T>> dial)
    {
        var first = Volatile.Read(ref _led);
        ReplicationException? fault = null;
        for (var i = 0; i < addresses.Count; i++)
        {
            var at = (first + i) % addresses.Count;
            try
            {
                var answer = await dial(new PeerAddress(name, addresses[at]));
                Volatile.Write(ref _led, at);
                return answer;
            }
            catch (ReplicationException e)
            {
                if (fault is null || Weight(e) >= Weight(fault)) fault = e;
            }
        }

        ExceptionDispatchInfo.Throw(fault!);
        return default;
    }

    private static int Weight(ReplicationException fault) => fault switch
    {
        PeerNotReadyException => 2,
        { Kind: ReplicationErrorKind.Transient } => 0,
        _ => 1,
    };
}
