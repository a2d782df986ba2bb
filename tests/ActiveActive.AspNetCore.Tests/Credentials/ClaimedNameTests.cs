using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>A node is who its credential says, whatever it claims: story 32 over a real web server.</summary>
[Trait("Story", "32")]
public sealed class ClaimedNameTests
{
    private const string TokenOfUs = "the-token-that-us-shows";
    private const string TokenOfAp = "the-token-that-ap-shows";
    private const string Shared = "a-token-that-all-nodes-show";

    private static readonly X509Certificate2 s_server = TestCertificates.Create("eu.example.com");
    private static readonly X509Certificate2 s_us = TestCertificates.Create("us.example.com");
    private static readonly X509Certificate2 s_ap = TestCertificates.Create("ap.example.com");

    private static readonly Uri s_peer = new("https://us.example.com");

    [Fact]
    public async Task Pinned_certificate_without_any_issuer_lets_its_node_in_and_nobody_else()
    {
        await using var server = await StartAsync(node => node.AddPeer("us", s_peer, p => p.Certificate(s_us.Thumbprint())).AddPeer("ap", s_peer, p => p.Certificate(s_ap.Thumbprint())));
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us", n => n.UseCertificate(s_us)), StringComparison.Ordinal);
        Says(await server.DialAsync("us", n => n.UseCertificate(s_ap)), "PeerRefused", "AA3050", "claims to be 'us'", "It has shown a credential of 'ap'", "AddPeer(\"us\", …) on node 'eu'");
        Assert.Contains("AA0003: node 'eu' refused peer 'us' (AA3050)", server.Log.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Token_of_one_node_does_not_speak_for_another()
    {
        await using var server = await StartAsync(node => node.AddPeer("us", s_peer, p => p.Token(TokenOfUs)).AddPeer("ap", s_peer, p => p.Token(TokenOfAp)));
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us", n => n.UseToken(TokenOfUs)), StringComparison.Ordinal);
        Says(await server.DialAsync("us", n => n.UseToken(TokenOfAp)), "PeerRefused", "AA3050", "shown a credential of 'ap'");
        Says(await server.DialAsync("us", n => n.UseToken("a-token-that-nobody-knows")), "PeerRefused", "401", "AA3052", "no peer's and not the shared one");
    }

    [Fact]
    public async Task Shared_token_does_not_speak_for_a_node_that_has_a_credential_of_its_own()
    {
        await using var server = await StartAsync(node => node.UseSharedToken(Shared, Shared + "-next").AddPeer("us", s_peer, p => p.Token(TokenOfUs)).AddPeer("ap", s_peer));
        Says(await server.DialAsync("us", n => n.UseSharedToken(Shared)), "PeerRefused", "AA3050", "It has shown none of its own");
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("ap", n => n.UseSharedToken(Shared)), StringComparison.Ordinal);
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("ap", n => n.UseSharedToken(Shared + "-next")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_credential_is_told_what_to_set()
    {
        await using var server = await StartAsync(node => node.AddPeer("us", s_peer, p => p.Certificate(s_us.Thumbprint())));
        Says(await server.DialAsync("us"), "PeerRefused", "401", "AA3052", "no client certificate, and no token", "UseCertificate(…)");
        Assert.Contains("AA3054", server.Log.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Endpoint_that_asks_for_no_certificate_is_told_how_to()
    {
        await using var server = await NodeServer.StartAsync(node => node.AddPeer("us", s_peer, p => p.Certificate(s_us.Thumbprint())), s_server, asks: false);
        Says(await server.DialAsync("us", n => n.UseCertificate(s_us)), "PeerRefused", "AA3052", "UseActiveActiveClientCertificates");
    }

    [Fact]
    public async Task Certificate_that_nobody_lists_ends_the_handshake_and_both_sides_say_so()
    {
        await using var server = await StartAsync(node => node.AddPeer("us", s_peer, p => p.Certificate(s_us.Thumbprint())));
        Says(await server.DialAsync("us", n => n.UseCertificate(s_ap)), s_ap.Thumbprint(), "its own log says so (AA3054)");
        Assert.Contains($"(SHA-256 {s_ap.Thumbprint()}) speaks for no peer: no peer's Certificates list", server.Log.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-3, -2, "it expired on")]
    [InlineData(2, 3, "it is not valid before")]
    public async Task Pinned_certificate_outside_its_period_is_refused_by_both_sides(int fromDays, int toDays, string said)
    {
        using var old = TestCertificates.Create("us.example.com", fromDays: fromDays, toDays: toDays);
        await using var server = await NodeServer.StartAsync(
            node => node.AddPeer("us", s_peer, p => p.Certificate(old.Thumbprint()).Token(TokenOfUs)), s_server,
            pipeline: app => app.Use((HttpContext context, RequestDelegate next) =>
            {
                // As by an endpoint that takes every certificate, or a proxy that passes it on.
                context.Connection.ClientCertificate = old;
                return next(context);
            }));
        Says(await server.DialAsync("us", n => n.UseCertificate(old)), "Misconfigured", "AA3059", said);
        Says(await server.DialAsync("us"), "AA3052", said);
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us", n => n.UseToken(TokenOfUs)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Name_counts_on_a_certificate_from_a_trusted_issuer_only()
    {
        using var authority = TestCertificates.CreateAuthority("Ours");
        using var stranger = TestCertificates.CreateAuthority("Ours");
        using var issued = TestCertificates.Create("us.example.com", authority);
        using var foreign = TestCertificates.Create("us.example.com", stranger);
        using var other = TestCertificates.Create("ap.example.com", authority);
        using var wildcard = TestCertificates.Create("*.example.com", authority);
        await using var server = await StartAsync(node => node.TrustAuthorities(authority).AddPeer("us", s_peer, p => p.Certificate("us.example.com")));
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us", n => n.UseCertificate(issued)), StringComparison.Ordinal);
        foreach (var refused in new[] { foreign, other, wildcard, s_us })
        {
            var answer = await server.DialAsync("us", n => n.UseCertificate(refused));
            Assert.DoesNotContain(NodeServer.LetIn, answer, StringComparison.Ordinal);
            Assert.Contains($"(SHA-256 {refused.Thumbprint()}) speaks for no peer", server.Log.Text, StringComparison.Ordinal);
        }
    }

    private static Task<NodeServer> StartAsync(Action<ReplicationNodeBuilder> configure) => NodeServer.StartAsync(configure, s_server);

    private static void Says(string answer, params string[] parts) => Assert.All(parts, part => Assert.Contains(part, answer, StringComparison.Ordinal));
}
