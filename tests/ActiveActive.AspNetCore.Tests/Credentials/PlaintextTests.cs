using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>Without TLS nobody is let in from beyond loopback, unless that is said.</summary>
public sealed class PlaintextTests
{
    private const string Token = "the-token-that-us-shows";
    private static readonly Uri s_us = new("https://us.example.com");

    [Fact]
    public async Task Plaintext_from_another_machine_is_refused()
    {
        await using var server = await StartAsync();
        var answer = await server.DialAsync("us", node => node.UseToken(Token));
        Assert.Contains("403", answer, StringComparison.Ordinal);
        Assert.Contains("AA3053", answer, StringComparison.Ordinal);
        Assert.Contains("192.0.2.7 was turned away: AA3053", server.Log.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plaintext_that_is_allowed_for_one_peer_is_refused_to_another()
    {
        await using var server = await StartAsync(node => node.AddPeer("us", s_us, p => p.AllowPlaintext()).AddPeer("ap", s_us, p => p.Token(Token + "-of-ap")));
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us", node => node.UseToken(Token)), StringComparison.Ordinal);
        Assert.Contains("AA3053", await server.DialAsync("ap", node => node.UseToken(Token + "-of-ap")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Proxy_that_ends_tls_and_is_trusted_counts_as_tls()
    {
        await using var server = await NodeServer.StartAsync(Us, pipeline: app => app.Use((HttpContext context, RequestDelegate next) =>
        {
            // What UseForwardedHeaders makes of X-Forwarded-For and X-Forwarded-Proto.
            (context.Connection.RemoteIpAddress, context.Request.Scheme) = (IPAddress.Parse("192.0.2.7"), "https");
            return next(context);
        }));
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us", node => node.UseToken(Token)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Behind_a_proxy_on_this_machine_nobody_is_local()
    {
        await using var server = await NodeServer.StartAsync(node => node.AddPeer("us", new Uri("http://localhost:1")), pipeline: app => app.Use((HttpContext context, RequestDelegate next) =>
        {
            context.Request.Headers["X-Forwarded-For"] = "192.0.2.7";
            return next(context);
        }));
        Assert.Contains("AA3053", await server.DialAsync("us"), StringComparison.Ordinal);
    }

    private static void Us(ReplicationNodeBuilder node) => node.AddPeer("us", s_us, p => p.Token(Token));

    private static Task<NodeServer> StartAsync(Action<ReplicationNodeBuilder>? configure = null) => NodeServer.StartAsync(
        node =>
        {
            Us(node);
            configure?.Invoke(node);
        },
        pipeline: app => app.Use((HttpContext context, RequestDelegate next) =>
        {
            context.Connection.RemoteIpAddress = IPAddress.Parse("192.0.2.7");
            return next(context);
        }));
}
