using ActiveActive.Credentials;
using ActiveActive.Postgres.Tests.BadInput;
using ActiveActive.Postgres.Tests.Cluster;
using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Credentials change under a running pair.</summary>
[Collection(nameof(ClusterServers))]
public sealed class CredentialStories(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text);";
    private const string Old = "the-token-of-last-year";
    private const string New = "the-token-of-this-year";

    [Fact]
    [Trait("Story", "32")]
    public async Task Token_is_rotated_while_rows_flow_and_one_that_is_taken_away_ends_its_stream()
    {
        var shown = Old;
        await using var pair = await NodePair.CreateAsync(
            servers, Schema, Schema, node => node.UseToken(() => Volatile.Read(ref shown)), node => node.With(o => o.Peers["a"].Tokens.Add(Old)));
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.UntilStreamingAsync();
        await pair.B.ExecuteAsync("INSERT INTO t VALUES (1, 'under the old')");
        await pair.UntilEqualAsync("t", "(1,\"under the old\")");

        // Both are valid, and the stream that the old one opened goes on.
        Accept(Old, New);
        Volatile.Write(ref shown, New);
        await pair.B.ExecuteAsync("INSERT INTO t VALUES (2, 'under both')");
        await pair.UntilEqualAsync("t", "(1,\"under the old\")\n(2,\"under both\")");
        Assert.DoesNotContain(Logged(), line => line.Contains("(AA305", StringComparison.Ordinal));

        // That stream ends and is dialled again.
        Accept(New);
        await pair.UntilAsync("b has ended the stream of the old token", () => Task.FromResult(Logged().Any(line => line.Contains("AA0003: node 'b' refused peer 'a' (AA3050)", StringComparison.Ordinal))));
        await pair.B.ExecuteAsync("INSERT INTO t VALUES (3, 'under the new')");
        await pair.UntilEqualAsync("t", "(1,\"under the old\")\n(2,\"under both\")\n(3,\"under the new\")");

        // Taken away for good: refused, and nothing more arrives until it is given back.
        Accept("a-token-that-a-has-not");
        await pair.PeerFaultAsync(pair.A, PeerLinkState.Refused, "401", "AA3052");
        await pair.B.ExecuteAsync("INSERT INTO t VALUES (4, 'withheld')");
        Assert.Equal(3, await pair.A.ScalarAsync<long>("SELECT count(*) FROM t"));
        Accept(New);
        await pair.UntilAsync("a has the row", async () => await pair.A.ScalarAsync<long>("SELECT count(*) FROM t") == 4);
        Assert.DoesNotContain(Logged(), line => line.Contains(Old, StringComparison.Ordinal) || line.Contains(New, StringComparison.Ordinal));

        void Accept(params string[] tokens)
        {
            var options = new ReplicationNodeOptions();
            options.Peers["a"] = new PeerOptions();
            foreach (var token in tokens) options.Peers["a"].Tokens.Add(token);
            pair.B.Host!.Services.GetRequiredService<CredentialStore>().Replace(new NodeCredentials(options, TimeProvider.System));
        }

        string[] Logged()
        {
            lock (pair.Log) return [.. pair.Log];
        }
    }
}
