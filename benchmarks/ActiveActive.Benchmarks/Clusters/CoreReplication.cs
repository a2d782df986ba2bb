namespace ActiveActive.Benchmarks.Clusters;

/// <summary>PostgreSQL's own logical replication, at its fastest settings: a subscription for each pair.</summary>
internal sealed class CoreReplication(IReadOnlyList<BenchmarkDatabase> databases, IReadOnlyList<(int From, int To)> pairs) : IReplication
{
    public const string Publication = "bench";

    public IReadOnlyList<int> HostProcesses => [];

    public static async Task<CoreReplication> StartAsync(IReadOnlyList<BenchmarkDatabase> databases, IReadOnlyList<(int From, int To)> pairs, CancellationToken cancellationToken)
    {
        var replication = new CoreReplication(databases, pairs);
        var isNew = databases[0].Server.Version.Major >= 16;
        foreach (var database in databases) await database.SuperuserAsync($"CREATE PUBLICATION {Publication} FOR TABLES IN SCHEMA public", cancellationToken);
        foreach (var (from, to) in pairs)
        {
            var connection = $"host=127.0.0.1 port={databases[from].Server.Port} dbname={databases[from].Name} user=postgres password=postgres";
            // Acting as each table's owner costs core a switch for every row, and forbids deferred triggers, by which `live` reads the clock; PostgreSQL 15 never does it.
            var options = isNew ? "streaming = parallel, origin = none, run_as_owner = true" : "streaming = on";
            await databases[to].SuperuserAsync(
                $"CREATE SUBSCRIPTION {Name(databases, from, to)} CONNECTION '{connection}' PUBLICATION {Publication} WITH (copy_data = false, binary = true, {options})", cancellationToken);
        }

        return replication;
    }

    public async Task PauseAsync(int node, CancellationToken cancellationToken)
    {
        foreach (var (from, to) in pairs.Where(p => p.To == node))
        {
            await databases[to].SuperuserAsync($"ALTER SUBSCRIPTION {Name(databases, from, to)} DISABLE", cancellationToken);
            // The worker ends a little later; until then it would still apply.
            await databases[to].SuperuserAsync(
                $"DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_subscription WHERE subname = '{Name(databases, from, to)}' AND pid IS NOT NULL) LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$", cancellationToken);
        }
    }

    public async Task ResumeAsync(int node, CancellationToken cancellationToken)
    {
        foreach (var (from, to) in pairs.Where(p => p.To == node)) await databases[to].SuperuserAsync($"ALTER SUBSCRIPTION {Name(databases, from, to)} ENABLE", cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (from, to) in pairs) await databases[to].SuperuserAsync($"DROP SUBSCRIPTION IF EXISTS {Name(databases, from, to)}", CancellationToken.None);
    }

    private static string Name(IReadOnlyList<BenchmarkDatabase> databases, int from, int to) => $"sub_{databases[from].Name}_{from}_{to}";
}
