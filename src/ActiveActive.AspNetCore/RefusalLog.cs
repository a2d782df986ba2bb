using System.Net;
using Microsoft.Extensions.Logging;

namespace ActiveActive.AspNetCore;

/// <summary>Logs who was turned away before a word was said, once in a while for each: anybody on the network can come as often as they like.</summary>
internal sealed partial class RefusalLog(ILogger logger, TimeProvider time)
{
    private const int MaxRemembered = 256;
    private static readonly TimeSpan s_silence = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly Dictionary<(string Address, string Reason), long> _logged = [];

    public void Note(IPAddress? address, string reason)
    {
        var from = address?.ToString() ?? "an unknown address";
        lock (_gate)
        {
            if (_logged.TryGetValue((from, reason), out var last) && time.GetElapsedTime(last) < s_silence) return;
            if (_logged.Count >= MaxRemembered)
            {
                foreach (var old in _logged.Where(l => time.GetElapsedTime(l.Value) >= s_silence).Select(l => l.Key).ToList()) _logged.Remove(old);
                // More at once than anybody reads.
                if (_logged.Count >= MaxRemembered) return;
            }

            _logged[(from, reason)] = time.GetTimestamp();
        }

        LogRefused(from, reason);
    }

    [LoggerMessage(EventId = 3054, Level = LogLevel.Warning, Message = "AA3054: a dialler at {Address} was turned away: {Reason}")]
    private partial void LogRefused(string address, string reason);
}
