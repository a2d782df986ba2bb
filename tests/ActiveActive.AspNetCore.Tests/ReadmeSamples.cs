using ActiveActive.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>The C# of README.md, so that it compiles; <see cref="ReadmeTests"/> compares the two.</summary>
internal static class ReadmeSamples
{
    public static WebApplication Application(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Services.AddActiveActive(node => node
            .Named("eu")
            .UsePostgres(builder.Configuration.GetConnectionString("App")!)
            .UseSharedToken(builder.Configuration["ActiveActive:SharedToken"]!)
            .AddPeer("us", new Uri("https://us.example.com"))
            .Replicate("public.*")
            .Replicate("public.accounts", table => table.DeltaColumn("balance"))
            .ResolveConflictsWith<TagUnion>("public.profiles"));
        var app = builder.Build();
        app.MapActiveActive();
        return app;
    }

    public static async Task<int> Command(WebApplication app, string[] args)
    {
        if (args is ["aa", .. var command]) return await app.RunActiveActiveCommandAsync(command);
        app.Run();
        return 0;
    }

    public static void Quarantine(WebApplicationBuilder builder)
    {
        builder.Services.AddActiveActive(node => node
            .Replicate("public.*", table => table.OnApplyError(ApplyErrorPolicy.Quarantine)));
    }

    public static void Orphans(WebApplicationBuilder builder)
    {
        builder.Services.AddActiveActive(node => node
            .Replicate("public.*")
            .Replicate("public.orders", table => table.OnOrphan(OrphanPolicy.Quarantine).OnOrphan("coupon_id", OrphanPolicy.SetNull)));
    }

    public static void Routes(WebApplicationBuilder builder)
    {
        builder.Services.AddActiveActive(node => node
            .Replicate("public.*")
            .Replicate("public.patients*", table => table.OnlyOn("eu-1", "eu-2")));
    }

    public static void Residency(WebApplicationBuilder builder)
    {
        builder.Services.AddActiveActive(node => node
            .Replicate("public.*")
            .Replicate("public.customers", table => table
                .Residency("country", map => map.Region("DE", "hub", "eu").Region("US", "hub", "us").Elsewhere("hub"))));
    }

    public static void Bind(WebApplicationBuilder builder)
    {
        builder.Services.AddActiveActive(builder.Configuration.GetSection("ActiveActive"));
    }

    public static void Watch(WebApplication app)
    {
        app.MapHealthChecks("/health");
        app.MapGet("/replication", (ReplicationNode node) => node.Status.Peers.Select(peer =>
            $"{peer.Peer}: {peer.Receiving}, {peer.LagBytes} bytes and {peer.LagTime} behind. {peer.Message}"));
    }

    public static async Task Conflicts(ReplicationNode node, CancellationToken stopping)
    {
        var query = new ConflictQuery { Table = TableName.Parse("public.profiles"), Since = DateTimeOffset.UtcNow.AddDays(-1) };
        await foreach (var conflict in node.Conflicts.QueryAsync(query, stopping))
            Console.WriteLine($"{conflict.RecordedAt:u} {conflict.Type} {string.Join(',', conflict.Key)}: {conflict.Outcome}. {conflict.Reason}");

        await foreach (var conflict in node.Conflicts.WatchAsync(stopping))
            Console.WriteLine($"{conflict.Table}: node {conflict.Winner} won.");
    }

    public static async Task<string> Server()
    {
        await using var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 18 });
        var connectionString = await server.CreateDatabaseAsync("app");
        await server.ExecuteAsync("CREATE TABLE profiles (id uuid PRIMARY KEY, name text)", "app");
        return connectionString;
    }

    public static async Task Network()
    {
        await using var line = FaultProxy.Start(targetPort: 5001);
        // The other node dials line.Address in place of the peer's own. A long line, then one that is dead without being closed:
        line.Upstream.Latency = line.Downstream.Latency = TimeSpan.FromMilliseconds(50);
        line.BlackHole();
        line.Heal();
        line.Cut();
    }
}

/// <summary>The tests that README.md shows for a resolver.</summary>
public sealed class TagUnionTests
{
    [Fact]
    public async Task Tags_of_both_nodes_stay()
    {
        await using var cluster = await InMemoryCluster.StartAsync(["eu", "us"], options => options
            .Table("profiles", "id integer", "tags text[]")
            .Node(node => node.ResolveConflictsWith<TagUnion>("public.profiles")));
        var (eu, us) = (cluster[0], cluster[1]);
        await eu.InsertAsync("profiles", ("id", "1"), ("tags", "{a}"));
        await cluster.ConvergeAsync();
        await eu.UpdateAsync("profiles", ("id", "1"), ("tags", "{a,b}"));
        await us.UpdateAsync("profiles", ("id", "1"), ("tags", "{a,c}"));
        await cluster.ConvergeAsync();
        Assert.Equal("{a,b,c}", us.Read("profiles", "1")!["tags"]);
        Assert.Equal(ConflictOutcome.Merge, Assert.Single(us.Conflicts).Outcome);
    }

    [Fact]
    public void Resolver_converges()
    {
        var report = ResolverLaws.Check<TagUnion>(random => Row.Of(("id", "1"), ("name", $"{random.Next(9)}"), ("tags", $"{{{random.Next(9)}}}")));
        report.EnsureConverges();
        Assert.True(report.Associativity.Holds, report.ToString());
    }

    [Theory]
    [InlineData("""
        [{"id": 1, "recorded_at": "2026-01-01T00:00:03+00:00", "table_name": "public.profiles", "key": ["1"], "type": "update_origin_differs",
         "local_row": {"id": "1", "tags": "{a,b}"}, "local_stamp": "2026-01-01T00:00:01+00:00", "local_origin": "eu", "local_position": "0/1",
         "remote_row": {"id": "1", "tags": "{a,c}"}, "remote_stamp": "2026-01-01T00:00:02+00:00", "remote_origin": "us", "remote_position": "0/1",
         "outcome": "merge", "winner": "us", "resolver": "TagUnion", "reason": "-"}]
        """)]
    public void Recorded_conflicts_keep_all_tags(string conflicts)
    {
        foreach (var conflict in RecordedConflict.ReadAll(conflicts).Where(c => c.CanReplay))
        {
            var tags = conflict.Replay(new TagUnion()).GetArray("tags")!;
            Assert.All(conflict.Record.LocalRow!.GetArray("tags")!, tag => Assert.Contains(tag, tags));
        }
    }
}

/// <summary>The resolver of README.md.</summary>
public sealed class TagUnion : IConflictResolver
{
    public ConflictResolution Resolve(Conflict conflict)
    {
        var earlier = conflict.Local.GetArray("tags") ?? [];
        var later = conflict.Remote.GetArray("tags") ?? [];
        return ConflictResolution.Merge(conflict.Remote.With("tags", earlier.Union(later).Order(StringComparer.Ordinal)));
    }
}
