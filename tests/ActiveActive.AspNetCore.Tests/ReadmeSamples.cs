using ActiveActive.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

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

    public static void Quarantine(WebApplicationBuilder builder)
    {
        builder.Services.AddActiveActive(node => node
            .Replicate("public.*", table => table.OnApplyError(ApplyErrorPolicy.Quarantine)));
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
