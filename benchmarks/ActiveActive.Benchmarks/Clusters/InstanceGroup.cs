using System.Net.Http.Json;
using System.Text.Json;
using ActiveActive.Benchmarks.Hosts;

namespace ActiveActive.Benchmarks.Clusters;

/// <summary>A node with two instances, each in a process of its own, and a peer with one.</summary>
internal sealed class InstanceGroup : IAsyncDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(5);
    private static readonly HttpClient s_http = new() { Timeout = s_timeout };
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    private readonly List<HostSettings> _settings = [];
    private readonly List<HostProcess?> _hosts = [];
    private readonly Action<string>? _printed;

    private InstanceGroup(Action<string>? printed) => _printed = printed;

    /// <param name="databases">The node's, and the peer's.</param>
    /// <param name="verbose">Shows what the hosts print.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<InstanceGroup> StartAsync(IReadOnlyList<BenchmarkDatabase> databases, bool verbose, CancellationToken cancellationToken)
    {
        var ports = FreePorts.Pick(6);
        var group = new InstanceGroup(verbose ? Console.WriteLine : null);
        try
        {
            for (var i = 0; i < 3; i++)
            {
                var isPeer = i == 2;
                group._settings.Add(new HostSettings
                {
                    Name = isPeer ? "n1" : "n0",
                    ConnectionString = databases[isPeer ? 1 : 0].ReplicatorConnectionString,
                    SharedToken = ServerGroup.Password,
                    PeerPort = ports[i],
                    ControlPort = ports[3 + i],
                    Peers = new Dictionary<string, IReadOnlyList<Uri>> { [isPeer ? "n0" : "n1"] = isPeer ? [Address(ports[0]), Address(ports[1])] : [Address(ports[2])] },
                    DeltaColumns = new Dictionary<string, string>(),
                });
                group._hosts.Add(null);
                await group.StartAsync(i);
            }

            return group;
        }
        catch
        {
            await group.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until one instance leads, the other stands by, and both nodes stream; which one leads.</summary>
    public async Task<int> UntilSettledAsync(CancellationToken cancellationToken)
    {
        var leader = -1;
        await UntilAsync(async () =>
        {
            var statuses = await Task.WhenAll(Enumerable.Range(0, 3).Select(i => ReadAsync(i, cancellationToken)));
            leader = Array.FindIndex(statuses, s => s?.State == NodeState.Running);
            return leader is 0 or 1 && statuses[1 - leader]?.State == NodeState.Standby
                && new[] { statuses[leader], statuses[2] }.All(s => s is not null && s.Receiving.Values.All(r => r == PeerLinkState.Streaming));
        }, cancellationToken);
        return leader;
    }

    public Task UntilRunningAsync(int instance, CancellationToken cancellationToken) =>
        UntilAsync(async () => await ReadAsync(instance, cancellationToken) is { State: NodeState.Running }, cancellationToken);

    public async Task StartAsync(int instance) => _hosts[instance] = await HostProcess.StartAsync(_settings[instance], _printed);

    /// <summary>SIGKILL.</summary>
    public Task KillAsync(int instance) => _hosts[instance]!.KillAsync();

    /// <summary>As on SIGTERM.</summary>
    public async Task StopAsync(int instance) => await _hosts[instance]!.DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        foreach (var host in _hosts)
        {
            if (host is not null) await host.DisposeAsync();
        }
    }

    private static Uri Address(int port) => new($"http://127.0.0.1:{port}");

    private async Task<HostStatus?> ReadAsync(int instance, CancellationToken cancellationToken)
    {
        try
        {
            return await s_http.GetFromJsonAsync<HostStatus>(new Uri(Address(_settings[instance].ControlPort), "/status"), s_json, cancellationToken);
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private async Task UntilAsync(Func<Task<bool>> isMet, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(s_timeout);
        try
        {
            while (!await isMet()) await Task.Delay(s_pollInterval, patience.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new BenchmarkException($"The instances did not get where they should:\n{string.Join("\n---\n", _hosts.Select(h => h?.Output))}", e);
        }
    }
}
