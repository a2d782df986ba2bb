using System.Globalization;
using ActiveActive.Soak.Cluster;
using ActiveActive.Testing;

namespace ActiveActive.Soak.Faults;

/// <summary>Draws faults from a seed, one after the other; those that last may overlap, on different things. Each is undone by itself, or by <see cref="HealAsync"/>.</summary>
internal sealed class FaultInjector(SoakCluster cluster, SoakOptions options, Action<string> say) : IDisposable
{
    private readonly Random _random = new(options.Seed);
    private readonly FaultKind[] _kinds = options.Only.Count > 0 ? [.. options.Only] : Enum.GetValues<FaultKind>();
    private readonly Dictionary<FaultKind, int> _counts = [];
    private readonly HashSet<string> _busy = [];
    private readonly List<Task> _running = [];
    private readonly List<FaultKind> _bag = [];
    private CancellationTokenSource _healing = new();

    /// <summary>How many of each kind there were.</summary>
    public IReadOnlyDictionary<FaultKind, int> Counts => _counts;

    /// <summary>Whether a fault keeps this node's host away, so that its end is no surprise.</summary>
    public bool HoldsHost(int node)
    {
        lock (_busy) return _busy.Contains($"host {node}");
    }

    /// <summary>Breaks something now and then, until told to stop; what is broken then, stays so.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            await Task.Delay(options.Every * (0.75 + (_random.NextDouble() / 2)), stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (stop.IsCancellationRequested) return;
            Inject(NextKind());
        }
    }

    /// <summary>Ends all faults, and waits until what was killed runs again.</summary>
    public async Task HealAsync()
    {
        await _healing.CancelAsync();
        await Task.WhenAll(_running);
        _running.Clear();
        foreach (var line in cluster.Lines) line.Heal();
        _healing.Dispose();
        _healing = new CancellationTokenSource();
    }

    public void Dispose() => _healing.Dispose();

    /// <summary>Every kind comes before one comes again.</summary>
    private FaultKind NextKind()
    {
        if (_bag.Count == 0) _bag.AddRange(_kinds);
        var drawn = _random.Next(_bag.Count);
        var kind = _bag[drawn];
        _bag.RemoveAt(drawn);
        return kind;
    }

    private void Inject(FaultKind kind)
    {
        // Drawn whether they are needed or not: the same seed draws the same.
        var (one, other) = (_random.Next(SoakCluster.Size), _random.Next(SoakCluster.Size - 1));
        if (other >= one) other++;
        var (share, level) = (_random.NextDouble(), _random.NextDouble());
        var longest = Math.Max(2, options.Every.TotalSeconds * 1.75);
        var duration = TimeSpan.FromSeconds(0.5 + (share * share * longest));
        string[] targets = kind switch
        {
            FaultKind.HostKill or FaultKind.HostStop or FaultKind.HostRestart => [$"host {one}"],
            FaultKind.ServerKill or FaultKind.ServerRestart or FaultKind.ServerStop => [$"server {one}"],
            FaultKind.Isolation => [.. Enumerable.Range(0, SoakCluster.Size).Where(n => n != one).Select(n => LineName(one, n))],
            _ => [LineName(one, other)],
        };
        lock (_busy)
        {
            if (targets.Any(_busy.Contains))
            {
                say($"{kind} of {string.Join(", ", targets)} is left out: something else is broken there.");
                return;
            }

            _busy.UnionWith(targets);
        }

        _counts[kind] = _counts.GetValueOrDefault(kind) + 1;
        say(string.Create(CultureInfo.InvariantCulture, $"{kind} of {string.Join(", ", targets)} for {duration.TotalSeconds:0.0} s"));
        _running.Add(BreakAsync(kind, one, other, duration, level, targets));
    }

    private async Task BreakAsync(FaultKind kind, int one, int other, TimeSpan duration, double level, string[] targets)
    {
        var node = cluster.Nodes[one];
        FaultProxy[] lines = kind == FaultKind.Isolation
            ? [.. Enumerable.Range(0, SoakCluster.Size).Where(n => n != one).SelectMany(n => cluster.Between(one, n))]
            : cluster.Between(one, other);
        try
        {
            switch (kind)
            {
                case FaultKind.HostKill:
                    await node.Bank.KillHostAsync();
                    await PassAsync(duration / 2);
                    await node.Bank.StartHostAgainAsync();
                    break;
                case FaultKind.HostStop:
                    node.StopHost();
                    await PassAsync(duration);
                    node.ContinueHost();
                    break;
                case FaultKind.HostRestart:
                    await node.Bank.StopHostAsync();
                    await PassAsync(duration / 4);
                    await node.Bank.StartHostAgainAsync();
                    break;
                case FaultKind.ServerKill:
                    await node.Server.KillAsync();
                    await PassAsync(duration / 4);
                    await node.StartServerAgainAsync();
                    break;
                case FaultKind.ServerRestart:
                    await node.Server.StopAsync(PostgresStopMode.Immediate);
                    await PassAsync(duration / 4);
                    await node.StartServerAgainAsync();
                    break;
                case FaultKind.ServerStop:
                    node.StopServer();
                    await PassAsync(duration < TimeSpan.FromSeconds(25) ? duration : TimeSpan.FromSeconds(25));
                    node.ContinueServer();
                    break;
                case FaultKind.Cut:
                    foreach (var line in lines) line.Cut();
                    break;
                case FaultKind.Close:
                    foreach (var line in lines) line.Close();
                    break;
                case FaultKind.Flap:
                    for (var i = 0; i < 12; i++)
                    {
                        foreach (var line in lines) line.Cut();
                        await PassAsync(duration / 12);
                    }

                    break;
                case FaultKind.OneWayLoss:
                    (level < 0.5 ? lines[0].Upstream : lines[0].Downstream).LosesBytes = true;
                    await PassAsync(duration);
                    break;
                default:
                    foreach (var line in lines) Break(line, kind, level);
                    await PassAsync(duration);
                    break;
            }
        }
        finally
        {
            // A fault of a host or server leaves the lines alone: another fault may have them.
            if (targets[0].StartsWith("line", StringComparison.Ordinal)) foreach (var line in lines) line.Heal();
            lock (_busy) _busy.ExceptWith(targets);
        }
    }

    private static void Break(FaultProxy line, FaultKind kind, double level)
    {
        switch (kind)
        {
            case FaultKind.Partition or FaultKind.Isolation:
                line.Upstream.IsStalled = line.Downstream.IsStalled = true;
                break;
            case FaultKind.BlackHole:
                line.BlackHole();
                break;
            case FaultKind.Delay:
                line.Upstream.Latency = line.Downstream.Latency = TimeSpan.FromMilliseconds(20 + (level * 280));
                break;
            case FaultKind.Squeeze:
                line.Upstream.BytesPerSecond = line.Downstream.BytesPerSecond = 20_000 + (long)(level * 480_000);
                break;
            case FaultKind.Refusal:
                line.Refuses = true;
                line.Cut();
                break;
            default:
                throw new SoakException($"{kind} is no fault of a line.");
        }
    }

    private Task PassAsync(TimeSpan duration) => Delayed(duration, _healing.Token);

    private static async Task Delayed(TimeSpan duration, CancellationToken cancellationToken) =>
        await Task.Delay(duration, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private static string LineName(int one, int other) => $"line {Math.Min(one, other)}-{Math.Max(one, other)}";
}
