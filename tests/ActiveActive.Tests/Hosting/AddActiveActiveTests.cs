using System.Text;
using ActiveActive.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace ActiveActive.Tests.Hosting;

public sealed class AddActiveActiveTests
{
    // Nothing listens on port 1.
    private const string Unreachable = "Host=127.0.0.1;Port=1;Database=app;Username=app;Timeout=5";

    [Fact]
    public void Configuration_sets_every_option()
    {
        var options = Bind("""
            { "Name": "eu", "ConnectionString": "Host=h;Database=d", "SharedToken": "0123456789abcdef", "Path": "/peers", "JoinFrom": "us", "JoinParallelism": 7,
              "Peers": { "us": "https://us.example.com", "ap": [ "https://ap-1.example.com", "https://ap-2.example.com" ] },
              "Tables": [ "public.*", { "Pattern": "public.accounts", "DeltaColumns": ["balance", "points"], "AllowSequenceKeys": true, "OnApplyError": "Quarantine", "OnOrphan": "SetNull" }, { "Pattern": "public.visits", "OnOrphan": { "*": "Quarantine", "tenant,pet": "Keep" } }, { "Pattern": "public.log", "Exclude": "true", "OnlyOn": ["eu", "us"], "Residency": { "Column": "country", "Regions": { "DE": ["eu"], "US": ["eu", "us"] }, "Elsewhere": "eu" } } ],
              "ConflictRetention": "1.00:00:00", "HeartbeatInterval": "00:00:02", "ReconnectDelay": "00:00:00.3", "MaxReconnectDelay": "00:00:20", "LeaderTimeout": "00:00:08", "RelayAfter": "00:00:07", "WalBudget": 5368709120, "PartAfter": "2.00:00:00", "OrphanCheckInterval": "00:00:11", "MaxClockSkew": "00:00:09",
              "OnApplyError": "quarantine", "ChangeLogBytes": 2097152, "MaxChangesPerPart": 77, "MaxFrameBytes": 70000, "Compression": { "*": "always", "us": "None" } }
            """);
        Assert.Equal(("eu", "Host=h;Database=d", "0123456789abcdef", "/peers"), (options.Name, options.ConnectionString, options.SharedToken, options.Path));
        Assert.Equal([new Uri("https://us.example.com")], options.Peers["us"].Addresses);
        Assert.Equal([new Uri("https://ap-1.example.com"), new Uri("https://ap-2.example.com")], options.Peers["ap"].Addresses);
        Assert.Equal(TimeSpan.FromSeconds(8), options.LeaderTimeout);
        Assert.Equal(("us", 7), (options.JoinFrom, options.JoinParallelism));
        Assert.Equal(["public.*", "public.accounts", "public.visits", "public.log"], options.Tables.Select(t => t.Pattern));
        Assert.Equal(["balance", "points"], options.Tables[1].DeltaColumns);
        Assert.True(options.Tables[1].AllowSequenceKeys);
        Assert.Equal([false, false, false, true], options.Tables.Select(t => t.Exclude));
        Assert.Equal(
            (TimeSpan.FromDays(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(0.3), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(9)),
            (options.ConflictRetention, options.HeartbeatInterval, options.ReconnectDelay, options.MaxReconnectDelay, options.RelayAfter, options.MaxClockSkew));
        Assert.Equal((5L << 30, TimeSpan.FromDays(2)), (options.WalBudget, options.PartAfter));
        Assert.Equal((2_097_152L, 77, 70_000), (options.ChangeLogBytes, options.MaxChangesPerPart, options.MaxFrameBytes));
        Assert.Equal((FrameCompression.Always, FrameCompression.None), (options.Compression, options.CompressionOf["us"]));
        Assert.Equal((ApplyErrorPolicy.Quarantine, null, ApplyErrorPolicy.Quarantine), (options.OnApplyError, options.Tables[0].OnApplyError, options.Tables[1].OnApplyError));
        Assert.Equal((TimeSpan.FromSeconds(11), null, OrphanPolicy.SetNull), (options.OrphanCheckInterval, options.Tables[0].OnOrphan, options.Tables[1].OnOrphan));
        var log = options.Tables[3];
        Assert.Equal(["eu", "us"], log.OnlyOn);
        Assert.Equal(("country", "eu", "eu us", "eu"), (log.Residency!.Column, string.Join(' ', log.Residency.Regions["DE"]), string.Join(' ', log.Residency.Regions["US"]), string.Join(' ', log.Residency.Rest)));
        Assert.Equal((OrphanPolicy.Quarantine, OrphanPolicy.Keep), (options.Tables[2].OnOrphan, Assert.Single(options.Tables[2].OnOrphanOf).Value));
        Assert.Empty(ReplicationNodeOptionsValidator.Validate(options));
        // A new option must be bound as well: resolvers are the only ones that need code.
        Assert.Equal(30, typeof(ReplicationNodeOptions).GetProperties().Length);
    }

    [Theory]
    [InlineData("""{ "Nmae": "eu" }""", "Node:Nmae", "not a setting")]
    [InlineData("""{ "Tables": [ { "Pattern": "a", "DeltaColums": ["b"] } ] }""", "Node:Tables:0:DeltaColums", "not a setting")]
    [InlineData("""{ "Compression": "zip" }""", "Node:Compression", "'zip' is not a policy. Use Auto or None or Always")]
    [InlineData("""{ "Tables": [ { "Pattern": "a", "OnApplyError": "Drop" } ] }""", "Node:Tables:0:OnApplyError", "'Drop' is not a policy. Use Hold or Quarantine")]
    [InlineData("""{ "Tables": [ { "Pattern": "a", "OnOrphan": { "p": "Cascade" } } ] }""", "Node:Tables:0:OnOrphan:p", "'Cascade' is not a policy. Use Keep or SetNull or Quarantine")]
    [InlineData("""{ "HeartbeatInterval": "soon" }""", "Node:HeartbeatInterval", "'soon' is not a TimeSpan")]
    [InlineData("""{ "Peers": { "us": "us.example.com" } }""", "Node:Peers:us", "not an absolute address")]
    [InlineData("""{ "Peers": { "us": [ "http://us-1", "us-2" ] } }""", "Node:Peers:us:1", "not an absolute address")]
    public void Unknown_key_or_value_is_named(string json, params string[] said)
    {
        var fault = Assert.Throws<FormatException>(() => Bind(json));
        foreach (var part in said) Assert.Contains(part, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_problems_of_the_options_are_listed_when_the_host_starts()
    {
        using var host = Build(node => node.Named("EU").UsePostgres("Hots=x").UseSharedToken("short and spaced")
            .AddPeer("us", new Uri("ftp://us")).AddPeer("US", new Uri("http://localhost:1")).AddPeer("ap")
            .With(o =>
            {
                o.Path = "peers";
                o.HeartbeatInterval = TimeSpan.Zero;
                o.MaxFrameBytes = 1;
            }));
        var fault = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync());
        string[] expected = ["Name 'EU'", "ConnectionString can't be read", "peer 'us' must be", "Peer name 'US'", "Peer 'ap' has no address", "No table replicates", "visible ASCII", "Path 'peers'", "HeartbeatInterval", "MaxFrameBytes"];
        Assert.Equal(expected.Length, fault.Failures.Count());
        foreach (var part in expected) Assert.Contains(fault.Failures, f => f.Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public void Peer_beyond_loopback_needs_a_token_and_a_table_with_deltas_no_resolver()
    {
        var options = Bind("""{ "Name": "eu", "ConnectionString": "Host=h;Database=d", "Peers": { "us": "https://us.example.com", "eu": "http://localhost" }, "Tables": [{ "Pattern": "public.t", "DeltaColumns": ["n"] }] }""");
        options.Tables[0].Resolver = new Keep();
        var problems = ReplicationNodeOptionsValidator.Validate(options);
        Assert.Equal(3, problems.Count);
        Assert.Contains(problems, p => p.Contains("UseSharedToken", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("names itself", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("delta columns and a resolver", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Start_waits_neither_for_the_database_nor_for_a_peer_and_health_says_what_is_wrong()
    {
        using var host = Build(node => node.Named("eu").UsePostgres(Unreachable).AddPeer("us", new Uri("http://localhost:1")).Replicate("public.*"));
        await host.StartAsync().WaitAsync(TimeSpan.FromSeconds(30));
        var node = host.Services.GetRequiredService<ReplicationNode>();
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(30);
        while (node.Status.Message is null)
        {
            Assert.True(DateTime.UtcNow < deadline, "The node never said that it can't reach its database.");
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.Contains("connecting node eu to database app at 127.0.0.1:1 as app", node.Status.Message, StringComparison.Ordinal);
        var report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();
        Assert.Equal(HealthStatus.Unhealthy, report.Entries["active_active"].Status);
        Assert.Contains("127.0.0.1:1", report.Entries["active_active"].Description, StringComparison.Ordinal);
        await host.StopAsync().WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(NodeState.Stopped, node.Status.State);
    }

    [Fact]
    public async Task Code_adds_to_configuration_and_resolvers_come_from_the_container()
    {
        var keep = new Keep();
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddSingleton(keep);
        ReplicationNodeOptions? options = null;
        builder.Services.AddActiveActive(Section("""{ "Name": "eu", "Tables": ["public.*"] }"""), node =>
        {
            node.UsePostgres(Unreachable).Replicate("public.t", table => table.DeltaColumn("n")).Exclude("public.x").ResolveConflictsWith<Keep>("public.p").ResolveConflictsWith<Later>();
            options = node.Options;
        });
        using var host = builder.Build();
        Assert.Equal("eu", host.Services.GetRequiredService<ReplicationNode>().Name.Value);
        Assert.Same(keep, options!.Tables.Single(t => t.Pattern == "public.p").Resolver);
        Assert.IsType<Later>(options.DefaultResolver);
        Assert.True(options.Tables.Single(t => t.Pattern == "public.x").Exclude);
        await host.StopAsync();
    }

    [Fact]
    public async Task Keyed_nodes_live_side_by_side()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddKeyedActiveActive("orders", node => node.Named("orders-eu").UsePostgres(Unreachable).Replicate("public.*").With(o => o.Path = "/orders"));
        builder.Services.AddKeyedActiveActive("stock", Section("""{ "Name": "stock-eu", "Path": "/stock", "Tables": ["public.*"] }"""), node => node.UsePostgres(Unreachable));

        await using var host = builder.Build();
        host.MapActiveActive(serviceKey: "orders");
        host.MapActiveActive(serviceKey: "stock");
        Assert.Contains("'other'", Assert.Throws<InvalidOperationException>(() => host.MapActiveActive(serviceKey: "other")).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => host.MapActiveActive());
        Assert.Equal("orders-eu", host.Services.GetRequiredKeyedService<ReplicationNode>("orders").Name.Value);
        Assert.Equal("stock-eu", host.Services.GetRequiredKeyedService<ReplicationNode>("stock").Name.Value);
        Assert.Equal(2, host.Services.GetServices<IHostedService>().OfType<ReplicationHostedService>().Count());
        var health = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();
        Assert.Equal(["active_active_orders", "active_active_stock"], health.Entries.Keys.Order());
    }

    [Fact]
    public void A_second_node_needs_a_key_of_its_own()
    {
        var services = new ServiceCollection().AddActiveActive(node => node.Named("eu")).AddKeyedActiveActive("orders", node => node.Named("eu"));
        Assert.Contains("AddKeyedActiveActive(key, …)", Assert.Throws<InvalidOperationException>(() => services.AddActiveActive(node => node.Named("us"))).Message, StringComparison.Ordinal);
        Assert.Contains("'orders'", Assert.Throws<InvalidOperationException>(() => services.AddKeyedActiveActive("orders", node => node.Named("us"))).Message, StringComparison.Ordinal);
        services.AddKeyedActiveActive("stock", node => node.Named("eu"));
    }

    private static IHost Build(Action<ReplicationNodeBuilder> configure)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddActiveActive(configure);
        return builder.Build();
    }

    private static ReplicationNodeOptions Bind(string json)
    {
        var options = new ReplicationNodeOptions();
        ReplicationNodeConfiguration.Bind(Section(json), options);
        return options;
    }

    private static IConfigurationSection Section(string json) =>
        new ConfigurationBuilder().AddJsonStream(new MemoryStream(Encoding.UTF8.GetBytes($"{{ \"Node\": {json} }}"))).Build().GetSection("Node");

    private sealed class Keep : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.KeepLocal;
    }

    private sealed class Later : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.ApplyRemote;
    }
}
