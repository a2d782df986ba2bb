using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Tests.Snapshots;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace ActiveActive.Postgres.Tests.Tool;

/// <summary>The verbs of <c>aa</c>, as people and as scripts use them: a process that reaches the node through its database.</summary>
[Collection(nameof(ClusterServers))]
public sealed partial class ToolTests(ToolNodes nodes, ClusterServers servers) : IClassFixture<ToolNodes>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Help_names_every_verb()
    {
        var (code, output) = await ToolNodes.RunAsync("--help");
        Assert.Equal(0, code);
        Snapshot.Verify(output);
    }

    [Fact]
    public async Task Status_shows_the_node_and_its_peers()
    {
        await nodes.UntilStreamingAsync();
        var (code, output) = await ToolNodes.RunAsync(nodes.A, "status");
        Assert.True(code == 0, output);
        Snapshot.Verify(Stable(output));

        (code, var json) = await ToolNodes.AskAsync(nodes.A, "status");
        Assert.Equal(0, code);
        Assert.Equal(("a", "Running", true), (json["node"]!.ToString(), json["state"]!.ToString(), json["isCurrent"]!.GetValue<bool>()));
        Assert.Equal($"{Environment.MachineName}:{Environment.ProcessId}", json["leader"]!["instance"]!.ToString());
        Assert.True(json["slot"]!["retainedBytes"]!.GetValue<long>() >= 0);
        Assert.NotEqual("0/0", json["checkpointPosition"]!.ToString());
        Assert.Empty(json["troubles"]!.AsArray());
        var b = json["peers"]!.AsArray().Single(p => p!["peer"]!.ToString() == "b")!;
        Assert.Equal(("Joined", "Streaming", "Streaming", "2"), (b["membership"]!.ToString(), b["receiving"]!.ToString(), b["sending"]!.ToString(), b["protocol"]!.ToString()));
        Assert.Equal(($"http://localhost:{nodes.B.Port}/", json["libraryVersion"]!.ToString()), (b["addresses"]![0]!.ToString(), b["libraryVersion"]!.ToString()));
        Assert.StartsWith("18.", b["serverVersion"]!.ToString(), StringComparison.Ordinal);

        // The same, in plain SQL.
        Assert.Equal("a,Running,t", await nodes.A.ScalarAsync<string>("SELECT node || ',' || state || ',' || is_live::text::char FROM active_active.node_status"));
        Assert.Equal("b,Joined,Streaming,Streaming,2,t", await nodes.A.ScalarAsync<string>(
            "SELECT concat_ws(',', peer, membership, receiving, sending, protocol, (applied_position > '0/0')::text::char) FROM active_active.peer_status WHERE peer = 'b' AND paused_since IS NULL AND lag_bytes >= 0"));
        Assert.True(await nodes.A.ScalarAsync<long>("SELECT retained_bytes FROM active_active.node_status") >= 0);
    }

    [Fact]
    public async Task Pause_lasts_until_resume_whatever_ends_meanwhile()
    {
        var (code, output) = await ToolNodes.RunAsync(nodes.A, "pause", "b");
        Assert.Equal((0, "Node a applies nothing of b any more, until 'aa resume b'."), (code, output.Trim()));
        await nodes.A.StopAsync();
        await nodes.StartAsync(nodes.A);
        await nodes.Pair.UntilAsync("a has paused b again", () => Task.FromResult(nodes.A.Node.Status.Peers[0] is { IsPaused: true, Receiving: PeerLinkState.Paused }));
        (code, var json) = await ToolNodes.AskAsync(nodes.A, "status");
        Assert.Equal(5, code);
        Assert.Contains("b: receiving is Paused.", json["troubles"]!.AsArray().Select(t => t!.ToString()));

        (code, json) = await ToolNodes.AskAsync(nodes.A, "resume", "b");
        Assert.Equal((0, "resume", "b"), (code, json["done"]!.ToString(), json["peer"]!.ToString()));
        await nodes.UntilStreamingAsync();
        (code, output) = await ToolNodes.RunAsync(nodes.A, "pause", "nobody");
        Assert.Equal(1, code);
        Assert.StartsWith("AA6008: Node 'a' has no peer 'nobody'; its peers are: b", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Quarantine_is_listed_retried_and_discarded()
    {
        await nodes.A.ExecuteAsync("INSERT INTO accounts VALUES (1, 'x')");
        await nodes.A.ExecuteAsync("INSERT INTO accounts VALUES (2, 'x')");
        await nodes.Pair.UntilAsync("b has put two aside", () => Task.FromResult(nodes.B.Node.Status.Quarantined == 2));
        var (code, output) = await ToolNodes.RunAsync(nodes.B, "quarantine", "list");
        Assert.Equal(0, code);
        Snapshot.Verify(Stable(output));
        (code, var json) = await ToolNodes.AskAsync(nodes.B, "quarantine", "list");
        var ids = json["entries"]!.AsArray().Select(e => e!["id"]!.ToString()).ToList();

        (code, output) = await ToolNodes.RunAsync(nodes.B, "quarantine", "retry", ids[0]);
        Assert.Equal((1, "Node b has applied 0; 2 are in quarantine: see 'aa quarantine list'."), (code, output.Trim()));
        (code, output) = await ToolNodes.RunAsync(nodes.B, "quarantine", "discard", ids[0]);
        Assert.Equal((0, $"Node b has discarded entry {ids[0]}: see 'aa conflicts --type Discarded'."), (code, output.Trim()));
        await nodes.B.ExecuteAsync("ALTER TABLE accounts DROP CONSTRAINT no_x");
        (code, json) = await ToolNodes.AskAsync(nodes.B, "quarantine", "retry", "--table", "accounts");
        Assert.Equal((0, 1L, 0L), (code, json["applied"]!.GetValue<long>(), json["left"]!.GetValue<long>()));
        await nodes.B.ExecuteAsync("ALTER TABLE accounts ADD CONSTRAINT no_x CHECK (v <> 'x') NOT VALID");
        (code, output) = await ToolNodes.RunAsync(nodes.B, "quarantine", "discard", "999999");
        Assert.Equal(1, code);
        Assert.StartsWith("AA6008: Node 'b' has no entry 999999 in quarantine.", output, StringComparison.Ordinal);

        (code, json) = await ToolNodes.AskAsync(nodes.B, "conflicts", "--type", "Discarded", "--rows");
        var discarded = Assert.Single(json["conflicts"]!.AsArray())!;
        Assert.Equal(("public.accounts", "1", "x"), (discarded["table"]!.ToString(), discarded["key"]![0]!.ToString(), discarded["remote"]!["row"]!["v"]!.ToString()));
        (code, output) = await ToolNodes.RunAsync(nodes.B, "conflicts", "--table", "accounts", "--since", "1d");
        Assert.Equal(0, code);
        Snapshot.Verify(Stable(output), test: "Conflicts");
    }

    [Fact]
    public async Task Node_that_joins_is_followed_until_it_runs()
    {
        var c = await nodes.AddThirdAsync();
        await nodes.Pair.UntilAsync("c joins", () => Task.FromResult(c.Node.Status.State is NodeState.Joining or NodeState.Running));
        var (code, output) = await ToolNodes.RunAsync(c, "join");
        Assert.Equal((0, "Node c has its data and is Running."), (code, output.Trim()));
        await nodes.UntilStreamingAsync();
        (_, var json) = await ToolNodes.AskAsync(nodes.A, "status");
        Assert.Equal("Joined", json["peers"]!.AsArray().Single(p => p!["peer"]!.ToString() == "c")!["membership"]!.ToString());
    }

    [Fact]
    public async Task Without_a_leader_it_says_so_and_asks_nothing()
    {
        await nodes.B.StopAsync();
        var (code, output) = await ToolNodes.RunAsync(nodes.B, "pause", "a");
        var (statusCode, json) = await ToolNodes.AskAsync(nodes.B, "status");
        var asked = await nodes.B.ScalarAsync<long>("SELECT count(*) FROM active_active.command WHERE state = 'asked'");
        await nodes.StartAsync(nodes.B);
        await nodes.UntilStreamingAsync();
        Assert.Equal((3, 3, 0L), (code, statusCode, asked));
        Assert.Matches("^AA6004: No instance leads node 'b' in database .* at .*: start the application, or see its log. The last one .* reported .* ago: Stopped.", output);
        Assert.Equal((null, "Stopped"), (json["leader"], json["state"]!.ToString()));
    }

    [Fact]
    public async Task What_is_asked_too_late_or_of_an_instance_that_ended_is_not_done()
    {
        async Task<string> StateAsync(long id) => await nodes.A.ScalarAsync<string>($"SELECT concat_ws(' ', state, code) FROM active_active.command WHERE id = {id}");
        var late = await nodes.A.ScalarAsync<long>("INSERT INTO active_active.command (verb, arguments, valid_until) VALUES ('pause', '{\"peer\": \"b\"}', clock_timestamp()) RETURNING id");
        var unknown = await nodes.A.ScalarAsync<long>("INSERT INTO active_active.command (verb) VALUES ('dance') RETURNING id");
        await nodes.Pair.UntilAsync("a has said that it knows no such verb", async () => await StateAsync(unknown) == "failed AA6007");
        Assert.Equal("asked", await StateAsync(late));
        Assert.False(nodes.A.Node.Status.Peers[0].IsPaused);

        var abandoned = await nodes.A.ScalarAsync<long>("INSERT INTO active_active.command (verb, state, taken_by) VALUES ('resume', 'running', 'gone') RETURNING id");
        await nodes.A.StopAsync();
        await nodes.StartAsync(nodes.A);
        await nodes.Pair.UntilAsync("the next leader has closed it", async () => await StateAsync(abandoned) == "failed AA6006");
        await nodes.UntilStreamingAsync();
    }

    [Fact]
    public async Task Faults_of_use_and_of_the_connection_have_codes()
    {
        var (code, output) = await ToolNodes.RunAsync("dance");
        Assert.True(code == 2, output);
        (code, output) = await ToolNodes.RunAsync("status");
        Assert.Equal(2, code);
        Assert.StartsWith("AA6001: Which node?", output, StringComparison.Ordinal);
        (code, output) = await ToolNodes.RunAsync("status", "--json", "-c", nodes.A.Sql.ConnectionString.Replace("a password", "", StringComparison.Ordinal) + ";Password=wrong secret");
        Assert.Equal((4, "AA6002"), (code, JsonNode.Parse(output)!["error"]!["code"]!.ToString()));
        Assert.DoesNotContain("wrong secret", output, StringComparison.Ordinal);
        (code, output) = await ToolNodes.RunAsync("status", "-c", nodes.A.Server.ConnectionStringFor("postgres"));
        Assert.Equal(3, code);
        Assert.StartsWith("AA6003: The database postgres at", output, StringComparison.Ordinal);
        (code, output) = await ToolNodes.RunAsync(nodes.A, "setup");
        Assert.Equal(2, code);
        Assert.StartsWith("AA6010:", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_lists_problems_with_what_mends_them()
    {
        var (code, json) = await ToolNodes.AskAsync(nodes.A, "check");
        Assert.Equal((0, "a", 0), (code, json["node"]!.ToString(), json["problems"]!.AsArray().Count));
        Assert.NotEmpty(json["notChecked"]!.AsArray());

        await nodes.A.Server.CreateRoleAsync("tool_stranger", "a password");
        (code, var output) = await ToolNodes.RunAsync("check", "-c", nodes.A.Server.ConnectionStringFor("postgres", "tool_stranger", "a password"));
        Assert.Equal(5, code);
        Snapshot.Verify(output);
    }

    /// <summary>What <c>dotnet run -- aa …</c> does: the application's own registration, on a database of nobody; then by its settings file.</summary>
    [Fact]
    public async Task Application_checks_and_sets_up_by_its_own_options()
    {
        var server = (await servers.GetAsync([18]))[0];
        await using var node = await ClusterNode.CreateAsync("hosted", TestCluster.FreePorts(1)[0], server, [], "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int)", static _ => { }, []);
        Assert.Equal(5, await RunInHostAsync("check"));
        Assert.Equal(5, await RunInHostAsync("setup"));
        await node.ExecuteAsync("ALTER TABLE u ADD PRIMARY KEY (id)");
        Assert.Equal(0, await RunInHostAsync("setup", "--json"));
        Assert.Equal(0, await RunInHostAsync("check"));
        Assert.Equal(3, await RunInHostAsync("pause", "other"));
        Assert.Equal("hosted", await node.ScalarAsync<string>("SELECT name FROM active_active.node"));

        var settings = Path.GetTempFileName();
        await File.WriteAllTextAsync(settings, new JsonObject { ["ActiveActive"] = new JsonObject { ["Name"] = "hosted", ["ConnectionString"] = node.ConnectionString, ["Peers"] = new JsonObject(), ["Tables"] = new JsonArray("public.nothing") } }.ToJsonString(), Token);
        var (code, output) = await ToolNodes.RunAsync("check", "--settings", settings);
        File.Delete(settings);
        Assert.Equal(5, code);
        Assert.Contains("AA1201", output, StringComparison.Ordinal);

        async Task<int> RunInHostAsync(params string[] command)
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Services.AddActiveActive(options => options.Named("hosted").UsePostgres(node.ConnectionString).Replicate("public.*").AddPeer("other", new Uri("http://localhost:1")));
            await using var app = builder.Build();
            return await app.RunActiveActiveCommandAsync(command, cancellationToken: Token);
        }
    }

    /// <summary>Without what is another each time; and a third node that joins in one of the tests.</summary>
    private static string Stable(string output)
    {
        var text = string.Join('\n', output.ReplaceLineEndings("\n").Split('\n').Where(line => !line.StartsWith("  c ", StringComparison.Ordinal)).Select(line => Spaces().Replace(line, " ").TrimEnd()));
        text = Position().Replace(Time().Replace(Port().Replace(text, "localhost:PORT"), "TIME"), "LSN");
        text = text.Replace($"{Environment.MachineName}:{Environment.ProcessId}", "INSTANCE", StringComparison.Ordinal);
        return Rules().Replace(Numbers().Replace(text, m => $"{m.Groups[1].Value}N{m.Groups[2].Value}"), "---");
    }

    [GeneratedRegex("  +")]
    private static partial Regex Spaces();

    [GeneratedRegex("[0-9A-F]+/[0-9A-F]+")]
    private static partial Regex Position();

    [GeneratedRegex("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]+Z")]
    private static partial Regex Time();

    [GeneratedRegex("localhost:[0-9]+")]
    private static partial Regex Port();

    [GeneratedRegex("(active_active_|18\\.|holds back |^ ?|in a day |at )[0-9][0-9.:a-f]*( [KMG]?i?B)?", RegexOptions.Multiline)]
    private static partial Regex Numbers();

    [GeneratedRegex("[─-]{3,}")]
    private static partial Regex Rules();
}
