using System.Net.Http.Json;
using System.Text.Json;
using ActiveActive.Benchmarks.Hosts;

namespace ActiveActive.Benchmarks.Clusters;

/// <summary>Ours: a full mesh of hosts, each in a process of its own, over HTTP/2 on loopback.</summary>
internal sealed class ActiveActiveReplication : IReplication
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(60);
    // Each use is bounded by its caller; a busy machine may take seconds to answer for the first time.
    private static readonly HttpClient s_http = new() { Timeout = s_startTimeout };

    // As the host writes it.
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    private readonly List<(HostProcess Process, Uri Control)> _hosts = [];

    public IReadOnlyList<int> HostProcesses => [.. _hosts.Select(h => h.Process.Id)];

    /// <param name="databases">One node each, n0, n1, …</param>
    /// <param name="hosts">How many of them get a host; the rest are peers that never come.</param>
    /// <param name="deltaColumns">Column by table.</param>
    /// <param name="verbose">Shows what the hosts print.</param>
    /// <param name="addressOf">Where one node dials another that listens on a port; null for that port itself.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<ActiveActiveReplication> StartAsync(
        IReadOnlyList<BenchmarkDatabase> databases, int hosts, IReadOnlyDictionary<string, string> deltaColumns, bool verbose, Func<int, int, int, Uri>? addressOf, CancellationToken cancellationToken)
    {
        var ports = FreePorts.Pick(databases.Count * 2);
        var replication = new ActiveActiveReplication();
        try
        {
            for (var i = 0; i < hosts; i++)
            {
                var settings = new HostSettings
                {
                    Name = $"n{i}",
                    ConnectionString = databases[i].ReplicatorConnectionString,
                    SharedToken = ServerGroup.Password,
                    PeerPort = ports[i],
                    ControlPort = ports[databases.Count + i],
                    Peers = Enumerable.Range(0, databases.Count).Where(p => p != i).ToDictionary(p => $"n{p}", IReadOnlyList<Uri> (p) => [addressOf?.Invoke(i, p, ports[p]) ?? new Uri($"http://127.0.0.1:{ports[p]}")]),
                    DeltaColumns = deltaColumns,
                };
                Action<string>? printed = verbose ? line => Console.WriteLine($"{settings.Name}: {line}") : null;
                replication._hosts.Add((await HostProcess.StartAsync(settings, printed), new Uri($"http://127.0.0.1:{settings.ControlPort}")));
            }

            var wanted = hosts == databases.Count ? PeerLinkState.Streaming : (PeerLinkState?)null;
            for (var i = 0; i < hosts; i++) await replication.UntilAsync(i, s => s.State == NodeState.Running && (wanted is null || s.Receiving.Values.All(r => r == wanted)), cancellationToken);
            return replication;
        }
        catch
        {
            await replication.DisposeAsync();
            throw;
        }
    }

    public async Task PauseAsync(int node, CancellationToken cancellationToken)
    {
        (await s_http.PostAsync(new Uri(_hosts[node].Control, "/pause"), null, cancellationToken)).EnsureSuccessStatusCode();
        await UntilAsync(node, s => s.Receiving.Values.All(r => r == PeerLinkState.Paused), cancellationToken);
    }

    public async Task ResumeAsync(int node, CancellationToken cancellationToken) =>
        (await s_http.PostAsync(new Uri(_hosts[node].Control, "/resume"), null, cancellationToken)).EnsureSuccessStatusCode();

    /// <summary>What keeps the hosts from going on, for a figure that is void.</summary>
    public async Task<string> DescribeAsync()
    {
        var said = new List<string>();
        foreach (var (_, control) in _hosts)
        {
            try
            {
                if (await s_http.GetFromJsonAsync<HostStatus>(new Uri(control, "/status"), s_json) is { } status) said.Add($"{control}: {status.Message} {string.Join("; ", status.PeerMessages)}");
            }
            catch (HttpRequestException e)
            {
                said.Add($"{control}: {e.Message}");
            }
        }

        return string.Join(" | ", said);
    }

    public async ValueTask DisposeAsync() => await Task.WhenAll(_hosts.Select(h => h.Process.DisposeAsync().AsTask()));

    private async Task UntilAsync(int node, Func<HostStatus, bool> met, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(s_startTimeout);
        HostStatus? status = null;
        try
        {
            while (true)
            {
                try
                {
                    status = await s_http.GetFromJsonAsync<HostStatus>(new Uri(_hosts[node].Control, "/status"), s_json, patience.Token);
                    if (status is not null && met(status)) return;
                }
                catch (HttpRequestException) when (!_hosts[node].Process.HasExited)
                {
                    // Not listening yet.
                }

                await Task.Delay(20, patience.Token);
            }
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new BenchmarkException($"Host n{node} did not get where it should: {status}\n{_hosts[node].Process.Output}", e);
        }
    }
}
