using System.Globalization;
using ActiveActive.Postgres.Tests.Cluster;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>Real servers. A transaction is told by its commit timestamp: SQL does not show positions, and one server's clock gives no stamp twice here.</summary>
internal sealed class ServerWorld(TestCluster cluster) : World
{
    private const string Schema = """
        CREATE TABLE register (id int PRIMARY KEY, v text, n int NOT NULL);
        CREATE TABLE account (id int PRIMARY KEY, v text, n int NOT NULL);
        CREATE TABLE merged (id int PRIMARY KEY, v text, n int NOT NULL);
        ALTER TABLE register ALTER v SET STORAGE EXTERNAL;
        ALTER TABLE account ALTER v SET STORAGE EXTERNAL;
        ALTER TABLE merged ALTER v SET STORAGE EXTERNAL;
        """;

    private Guid _round;

    public static void Configure(ReplicationNodeBuilder node) => node
        .Replicate("public.*")
        .Replicate("public.account", table => table.DeltaColumn("n"))
        .Replicate("public.merged", table => table.ResolveConflictsWith(new Chain()));

    public static async Task<ServerWorld> StartAsync(ClusterServers servers) =>
        new(await TestCluster.StartAsync(await servers.GetAsync(Enumerable.Repeat(18, DrawnHistory.Nodes)), Schema, Configure));

    public override ValueTask DisposeAsync() => cluster.DisposeAsync();

    protected override ReplicationNode NodeOf(int node) => cluster[node].Node;

    protected override long PlaceOf(RowVersion version) => version.Stamp.Microseconds;

    protected override async Task<long?> CommitAsync(DrawnTransaction transaction)
    {
        await using var connection = await cluster[transaction.Node].Sql.OpenConnectionAsync(TestContext.Current.CancellationToken);
        string? xid;
        await using (var running = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            foreach (var statement in transaction.Statements)
            {
                await using var command = new NpgsqlCommand(SqlOf(statement), connection);
                if (statement.Value is { } value && command.CommandText.Contains("$1", StringComparison.Ordinal)) command.Parameters.AddWithValue(value);
                await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            }

            await using var ask = new NpgsqlCommand("SELECT pg_current_xact_id_if_assigned()::text", connection);
            xid = await ask.ExecuteScalarAsync(TestContext.Current.CancellationToken) as string;
            await running.CommitAsync(TestContext.Current.CancellationToken);
        }

        if (xid is null) return null;
        await using var stamp = new NpgsqlCommand(
            $"SELECT (extract(epoch FROM pg_xact_commit_timestamp('{xid}'::xid8::xid) - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint", connection);
        return (long)(await stamp.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
    }

    protected override async Task EndWritesAsync()
    {
        _round = Guid.NewGuid();
        foreach (var node in cluster.Nodes) await node.ExecuteAsync($"INSERT INTO quiet_probe VALUES ('{node.Name}', '{_round}') ON CONFLICT (node) DO UPDATE SET round = excluded.round");
    }

    protected override Task AppliedAsync(int to, int from) => cluster.UntilAsync($"{NameOf(to)} has all of {NameOf(from)}", async () =>
        await cluster[to].ScalarAsync<long>($"SELECT count(*) FROM quiet_probe WHERE node = '{NameOf(from)}' AND round = '{_round}'") == 1);

    protected override Task UntilAsync(string what, Func<bool> condition) => cluster.UntilAsync(what, () => Task.FromResult(condition()));

    protected override async Task<string> RowsAsync(int node)
    {
        var texts = new List<string>();
        foreach (var table in DrawnHistory.Tables)
        {
            var rows = await cluster[node].ScalarAsync<string>($"SELECT coalesce(string_agg('{table}: ' || id || '|' || v || '|' || n, E'\\n' ORDER BY id), '') FROM {table}");
            if (rows.Length > 0) texts.Add(rows);
        }

        return string.Join('\n', texts);
    }

    private static string SqlOf(DrawnStatement statement)
    {
        var (table, key) = (statement.Table, statement.Key);
        var amount = (table == DrawnHistory.Account ? "n + " : "") + statement.Amount.ToString(CultureInfo.InvariantCulture);
        return statement.Kind switch
        {
            StatementKind.Insert => $"INSERT INTO {table} VALUES ({key}, $1, {statement.Amount}) ON CONFLICT (id) DO NOTHING",
            StatementKind.Update => $"UPDATE {table} SET {(statement.Value is null ? "" : "v = $1, ")}n = {amount} WHERE id = {key}",
            StatementKind.Delete => $"DELETE FROM {table} WHERE id = {key}",
            // A move to where the row stands would still write it.
            StatementKind.Move => $"UPDATE {table} SET id = {statement.Target} WHERE id = {key} AND NOT EXISTS (SELECT FROM {table} WHERE id = {statement.Target})",
            _ => $"TRUNCATE {table}",
        };
    }
}
