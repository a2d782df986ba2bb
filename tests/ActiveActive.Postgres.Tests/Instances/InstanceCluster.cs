using ActiveActive.Testing;
using Npgsql;
using QuickStart.Bank;
using QuickStart.Cluster;

namespace ActiveActive.Postgres.Tests.Instances;

/// <summary>Two nodes of the example's bank: <c>eu</c> has several instances behind a load balancer, <c>us</c> has one. Real processes, real servers.</summary>
internal sealed class InstanceCluster : IAsyncDisposable
{
    private const string Password = "a password";

    private readonly List<string> _writeFaults = [];
    private LoadBalancer? _balancer;

    public List<InstanceProcess> Eu { get; } = [];

    public InstanceProcess Us { get; private set; } = null!;

    public NpgsqlDataSource EuSql { get; private set; } = null!;

    public NpgsqlDataSource UsSql { get; private set; } = null!;

    public static async Task<InstanceCluster> StartAsync(PostgresServer euServer, PostgresServer usServer, int instances)
    {
        var cluster = new InstanceCluster();
        var ports = TestClusterPorts(instances);
        cluster._balancer = new LoadBalancer(ports.Peers.Take(instances).ToList());
        var us = new Uri($"http://127.0.0.1:{ports.Peers[instances]}");
        (cluster.EuSql, var eu) = await CreateAsync(euServer, "eu");
        (cluster.UsSql, var usConnection) = await CreateAsync(usServer, "us");
        for (var i = 0; i < instances; i++) cluster.Eu.Add(new InstanceProcess(Settings("eu", eu, ports.Peers[i], ports.Apps[i], "us", us)));
        cluster.Us = new InstanceProcess(Settings("us", usConnection, ports.Peers[instances], ports.Apps[instances], "eu", cluster._balancer.Address));
        foreach (var instance in cluster.Eu) await instance.StartAsync();
        await cluster.Us.StartAsync();
        await cluster.UntilAsync("one instance leads, the others stand by, and both nodes stream", async () =>
            (await cluster.StatesAsync()) is var states && states.Count(s => s == NodeState.Running) == 1 && states.Count(s => s == NodeState.Standby) == instances - 1
            && await cluster.Us.ReadStatusAsync() is { } status && status.Peers[0].Receiving == PeerLinkState.Streaming);
        return cluster;
    }

    /// <summary>Of each instance of <c>eu</c>; null for one that does not answer.</summary>
    public async Task<IReadOnlyList<NodeState?>> StatesAsync() => [.. (await Task.WhenAll(Eu.Select(i => i.ReadStatusAsync()))).Select(s => s?.State)];

    public async Task<InstanceProcess> UntilLedAsync(params IReadOnlyList<InstanceProcess> except)
    {
        InstanceProcess? leader = null;
        await UntilAsync("an instance leads", async () =>
        {
            foreach (var instance in Eu.Except(except))
            {
                if (await instance.ReadStatusAsync() is { State: NodeState.Running }) leader = instance;
            }

            return leader is not null;
        });
        return leader!;
    }

    /// <summary>Both nodes write until the token is cancelled: each transaction a row of its own, and one to the same balance.</summary>
    public Task<int[]> WriteAsync(CancellationToken stop) => Task.WhenAll(WriteAsync(EuSql, "eu", stop), WriteAsync(UsSql, "us", stop));

    /// <summary>Waits until a row that <c>eu</c> commits now is seen on <c>us</c>, which takes an instance that leads.</summary>
    public async Task UntilCrossedAsync()
    {
        var id = Guid.NewGuid();
        await ExecuteAsync(EuSql, $"INSERT INTO messages VALUES ('{id}', 'crossing', ''); UPDATE accounts SET balance = balance + 1 WHERE id = 1");
        await UntilAsync("a row of eu is on us", async () => await ScalarAsync<long>(UsSql, $"SELECT count(*) FROM messages WHERE id = '{id}'") == 1);
    }

    /// <summary>All that was written is on both nodes, once.</summary>
    public async Task AssertNothingLostOrDoubledAsync(int written)
    {
        await UntilAsync("both nodes have all rows", async () =>
        {
            foreach (var sql in new[] { EuSql, UsSql })
            {
                if (await ScalarAsync<long>(sql, "SELECT count(*) FROM messages") != written || await ScalarAsync<long>(sql, "SELECT balance FROM accounts WHERE id = 1") != written) return false;
            }

            return true;
        });
        const string Ids = "SELECT md5(string_agg(id::text, ',' ORDER BY id)) FROM messages";
        Assert.Equal(await ScalarAsync<string>(EuSql, Ids), await ScalarAsync<string>(UsSql, Ids));
        lock (_writeFaults) Assert.Empty(_writeFaults);
    }

    public async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(90);
        while (!await condition())
        {
            if (DateTime.UtcNow > deadline) Assert.Fail($"Timed out waiting until {what}.\n{await DescribeAsync()}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken);
        }
    }

    public static async Task<int> ExecuteAsync(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        return await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    public static async Task<T> ScalarAsync<T>(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var instance in Eu) await instance.DisposeAsync();
        await Us.DisposeAsync();
        if (_balancer is not null) await _balancer.DisposeAsync();
        await EuSql.DisposeAsync();
        await UsSql.DisposeAsync();
    }

    private static (IReadOnlyList<int> Peers, IReadOnlyList<int> Apps) TestClusterPorts(int instances)
    {
        var ports = FreePorts.Pick(2 * (instances + 1));
        return (ports[..(instances + 1)], ports[(instances + 1)..]);
    }

    private static HostSettings Settings(string name, string connectionString, int peerPort, int appPort, string peer, Uri address) => new()
    {
        Name = name, ConnectionString = connectionString, SharedToken = "only-for-this-test-run", PeerPort = peerPort, AppPort = appPort, Peers = new Dictionary<string, Uri> { [peer] = address },
    };

    private static async Task<(NpgsqlDataSource Sql, string Connection)> CreateAsync(PostgresServer server, string name)
    {
        var database = $"{name}_{Guid.NewGuid():N}"[..16];
        var (owner, replicator) = ($"{database}_app", $"{database}_rep");
        await server.CreateDatabaseAsync(database);
        await server.CreateRoleAsync(owner, Password);
        await server.CreateRoleAsync(replicator, Password);
        await server.ExecuteAsync(Scripts.SetUpRole(replicator, database, owner), database);
        await server.ExecuteAsync($"GRANT CREATE ON SCHEMA public TO {owner}", database);
        var source = NpgsqlDataSource.Create(server.ConnectionStringFor(database, owner, Password));
        await ExecuteAsync(source, Scripts.Schema + "INSERT INTO accounts VALUES (1, 'all', 0)");
        return (source, server.ConnectionStringFor(database, replicator, Password));
    }

    private async Task<int> WriteAsync(NpgsqlDataSource source, string node, CancellationToken stop)
    {
        var written = 0;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await ExecuteAsync(source, $"WITH i AS (INSERT INTO messages VALUES (gen_random_uuid(), '{node}', '')) UPDATE accounts SET balance = balance + 1 WHERE id = 1");
                written++;
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.DeadlockDetected)
            {
                await Task.Yield();
            }
            catch (NpgsqlException e)
            {
                // No server is stopped while this runs.
                lock (_writeFaults) _writeFaults.Add($"{node}: {e.Message}");
                break;
            }
        }

        return written;
    }

    private async Task<string> DescribeAsync()
    {
        var text = new List<string> { $"us: {await Us.ReadStatusAsync()}\n{Us.Output}" };
        for (var i = 0; i < Eu.Count; i++) text.Add($"eu {i}: {await Eu[i].ReadStatusAsync()}\n{Eu[i].Output}");
        return string.Join("\n---\n", text);
    }
}
