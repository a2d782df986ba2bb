using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>A dialler looks whom it has reached before it shows a token.</summary>
[Trait("Story", "32")]
public sealed class ServerIdentityTests
{
    private const string Token = "the-token-that-us-shows";
    private static readonly Uri s_us = new("https://us.example.com");

    [Fact]
    public async Task Server_that_is_neither_trusted_nor_pinned_is_refused_with_its_thumbprint()
    {
        using var certificate = TestCertificates.Create("eu.example.com");
        await using var server = await StartAsync(certificate);
        var answer = await server.DialAsync("us", node => Unpinned(node).UseToken(Token));
        Assert.StartsWith("PeerRefused: The certificate of peer eu at ", answer, StringComparison.Ordinal);
        Assert.Contains(certificate.Thumbprint(), answer, StringComparison.Ordinal);
        Assert.DoesNotContain(Token, server.Log.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pinned_server_that_has_expired_is_refused()
    {
        using var certificate = TestCertificates.Create("eu.example.com", fromDays: -3, toDays: -2);
        await using var server = await StartAsync(certificate);
        Assert.Contains("it expired on", await server.DialAsync("us", node => node.UseToken(Token)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_from_a_trusted_authority_must_be_for_the_host_or_carry_a_listed_name()
    {
        using var authority = TestCertificates.CreateAuthority("Ours");
        using var elsewhere = TestCertificates.Create("eu.example.com", authority, forLoopback: false);
        using var here = TestCertificates.Create("eu.example.com", authority);
        await using var wrong = await StartAsync(elsewhere);
        await using var right = await StartAsync(here);
        Assert.Contains("it is not for the host '127.0.0.1'", await wrong.DialAsync("us", node => Unpinned(node).UseToken(Token).TrustAuthorities(authority)), StringComparison.Ordinal);
        Assert.Contains(NodeServer.LetIn, await wrong.DialAsync("us", node => Unpinned(node, "eu.example.com").UseToken(Token).TrustAuthorities(authority)), StringComparison.Ordinal);
        Assert.Contains(NodeServer.LetIn, await right.DialAsync("us", node => Unpinned(node).UseToken(Token).TrustAuthorities(authority)), StringComparison.Ordinal);
    }

    private static ReplicationNodeBuilder Unpinned(ReplicationNodeBuilder node, params string[] certificates) => node.With(o =>
    {
        o.Peers["eu"].Certificates.Clear();
        foreach (var certificate in certificates) o.Peers["eu"].Certificates.Add(certificate);
    });

    private static Task<NodeServer> StartAsync(X509Certificate2 certificate) => NodeServer.StartAsync(node => node.AddPeer("us", s_us, p => p.Token(Token)), certificate);
}
