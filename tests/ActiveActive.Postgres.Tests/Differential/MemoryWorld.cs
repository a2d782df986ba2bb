using System.Globalization;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>The in-memory cluster. A transaction is told by its position: stamps are the cluster's, and can be corrected.</summary>
internal sealed class MemoryWorld(InMemoryCluster cluster) : World
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(1);

    public static async Task<MemoryWorld> StartAsync() => new(await InMemoryCluster.StartAsync(DrawnHistory.Nodes, options => options
        .Table(new TableDefinition(DrawnHistory.Register, "id integer", "v text", "n integer") { LargeColumns = ["v"] })
        .Table(new TableDefinition(DrawnHistory.Account, "id integer", "v text", "n integer") { LargeColumns = ["v"] })
        .Table(new TableDefinition(DrawnHistory.Merged, "id integer", "v text", "n integer") { LargeColumns = ["v"] })
        .Node(ServerWorld.Configure)));

    /// <summary>Sets a node's clock back by 10 s, for which the node waits before it applies.</summary>
    public void SetBack(int node) => cluster.SkewClock(cluster[node], -TimeSpan.FromSeconds(10));

    public override ValueTask DisposeAsync() => cluster.DisposeAsync();

    protected override ReplicationNode NodeOf(int node) => cluster[node].Replication;

    protected override long PlaceOf(RowVersion version) => (long)(ulong)version.Position;

    protected override async Task<long?> CommitAsync(DrawnTransaction transaction)
    {
        var node = cluster[transaction.Node];
        // Its stamp is later than all before it.
        await cluster.PassAsync(s_tick, TestContext.Current.CancellationToken);
        var before = node.LastCommit;
        await node.TransactAsync(async t =>
        {
            foreach (var statement in transaction.Statements) await ExecuteAsync(t, statement);
        });
        return node.LastCommit == before ? null : (long)(ulong)node.LastCommit;
    }

    protected override Task EndWritesAsync() => Task.CompletedTask;

    protected override Task AppliedAsync(int to, int from) =>
        cluster.UntilAsync($"{NameOf(to)} has all of {NameOf(from)}", () => cluster[to].Database.ProgressOf(cluster[from].Name) >= cluster[from].LastCommit, TestContext.Current.CancellationToken);

    protected override Task UntilAsync(string what, Func<bool> condition) => cluster.UntilAsync(what, condition, TestContext.Current.CancellationToken);

    protected override Task<string> RowsAsync(int node) => Task.FromResult(string.Join('\n',
        from table in DrawnHistory.Tables
        from row in cluster[node].ReadAll(table)
        select $"{table}: {string.Join('|', row.Values)}"));

    private static async Task ExecuteAsync(LocalTransaction transaction, DrawnStatement statement)
    {
        var (table, key) = (statement.Table, statement.KeyText);
        var amount = statement.Amount.ToString(CultureInfo.InvariantCulture);
        switch (statement.Kind)
        {
            case StatementKind.Insert:
                await transaction.InsertAsync(table, ("id", key), ("v", statement.Value), ("n", amount));
                break;
            case StatementKind.Update:
                if (await transaction.ReadForUpdateAsync(table, key) is not { } row) return;
                if (table == DrawnHistory.Account) amount = (int.Parse(row["n"]!, CultureInfo.InvariantCulture) + statement.Amount).ToString(CultureInfo.InvariantCulture);
                await transaction.UpdateAsync(table, [key], statement.Value is { } value ? Row.Of(("v", value), ("n", amount)) : Row.Of(("n", amount)));
                break;
            case StatementKind.Delete:
                await transaction.DeleteAsync(table, key);
                break;
            case StatementKind.Move:
                if (statement.Target != statement.Key) await transaction.UpdateAsync(table, [key], Row.Of(("id", statement.Target.ToString(CultureInfo.InvariantCulture))));
                break;
            default:
                await transaction.TruncateAsync(table);
                break;
        }
    }
}
