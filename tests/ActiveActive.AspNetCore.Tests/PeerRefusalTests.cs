using System.Net;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>A dial that is refused says by whom, why, and what to do; and never shows the token.</summary>
public sealed class PeerRefusalTests
{
    private const string Token = "the-right-shared-token";
    private const string OtherToken = "quite-another-token";

    private static readonly PeerEndpoint s_withToken = new(new HandOverAcceptor(), Token, PeerProtocol.DefaultPath);

    [Theory]
    [InlineData(OtherToken)]
    [InlineData(Token + "x")]
    [InlineData(null)]
    public async Task Wrong_token(string? shown)
    {
        await using var server = await PeerServer.StartAsync(s_withToken);
        var fault = await DialAsync(server, shown);
        AssertSays(fault, ReplicationErrorKind.PeerRefused, "401", "set the same SharedToken on every node");
        Assert.DoesNotContain(Token, fault.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(OtherToken, fault.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Missing_mapping()
    {
        await using var server = await PeerServer.StartAsync(s_withToken, configure: _ => { });
        AssertSays(await DialAsync(server, Token), ReplicationErrorKind.PeerRefused, "404", "app.MapActiveActive()");
    }

    [Fact]
    public async Task Another_path()
    {
        await using var server = await PeerServer.StartAsync(s_withToken, configure: app => app.MapActiveActive("/elsewhere"));
        AssertSays(await DialAsync(server, Token), ReplicationErrorKind.PeerRefused, "404", "/active-active", "same path");
    }

    [Theory]
    [InlineData(HttpProtocols.Http1)]
    [InlineData(HttpProtocols.Http1AndHttp2)]
    public async Task Endpoint_without_tls_that_speaks_http_1_1_only(HttpProtocols protocols)
    {
        await using var server = await PeerServer.StartAsync(s_withToken, protocols);
        AssertSays(await DialAsync(server, Token), ReplicationErrorKind.PeerRefused, "HTTP/2", "Protocols = Http2");
    }

    [Fact]
    public async Task Request_by_http_1_1_is_told_about_http_2()
    {
        await using var server = await PeerServer.StartAsync(s_withToken, HttpProtocols.Http1);
        using var client = new HttpClient();
        using var response = await client.PostAsync(new Uri(server.Address, PeerProtocol.DefaultPath), content: null);
        Assert.Equal(HttpStatusCode.HttpVersionNotSupported, response.StatusCode);
        Assert.Contains("Protocols to Http2", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_token_a_remote_address_is_refused()
    {
        var node = new PeerEndpoint(new HandOverAcceptor(), null, PeerProtocol.DefaultPath);
        await using var server = await PeerServer.StartAsync(node, configure: app =>
        {
            app.Use((context, next) =>
            {
                context.Connection.RemoteIpAddress = IPAddress.Parse("192.0.2.7");
                return next(context);
            });
            app.MapActiveActive();
        });
        AssertSays(await DialAsync(server, Token), ReplicationErrorKind.PeerRefused, "403", "AA3053");
    }

    [Fact]
    public async Task Without_a_token_loopback_is_let_in()
    {
        var acceptor = new HandOverAcceptor();
        await using var server = await PeerServer.StartAsync(new PeerEndpoint(acceptor, null, PeerProtocol.DefaultPath));
        var transport = new HttpPeerTransport(sharedToken: null);
        await using var pair = await acceptor.PairWithAsync(await transport.ConnectAsync(new(new("us"), server.Address), default));
    }

    [Theory]
    [InlineData(StatusCodes.Status503ServiceUnavailable, ReplicationErrorKind.Transient)]
    [InlineData(StatusCodes.Status502BadGateway, ReplicationErrorKind.Transient)]
    [InlineData(StatusCodes.Status429TooManyRequests, ReplicationErrorKind.Transient)]
    [InlineData(StatusCodes.Status302Found, ReplicationErrorKind.PeerRefused)]
    [InlineData(StatusCodes.Status418ImATeapot, ReplicationErrorKind.PeerRefused)]
    public async Task Other_statuses(int status, ReplicationErrorKind kind)
    {
        await using var server = await PeerServer.StartAsync(s_withToken, configure: app => app.MapPost(PeerProtocol.DefaultPath, () => Results.StatusCode(status)));
        AssertSays(await DialAsync(server, Token), kind, $"{status}");
    }

    [Fact]
    public async Task Host_name_that_is_not_known()
    {
        var transport = new HttpPeerTransport(Token);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () => await transport.ConnectAsync(new(new("us"), new Uri("http://no-such-host.invalid")), default));
        AssertSays(fault, ReplicationErrorKind.Transient, "can't be reached");
    }

    [Fact]
    public async Task Mapping_without_a_node_says_what_to_call()
    {
        var fault = await Assert.ThrowsAsync<InvalidOperationException>(() => PeerServer.StartAsync(node: null));
        Assert.Contains("AddActiveActive", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_nodes_of_one_application_answer_on_their_own_paths()
    {
        var builder = WebApplication.CreateSlimBuilder();
        var eu = new PeerEndpoint(new HandOverAcceptor(), Token, "/eu");
        var us = new PeerEndpoint(new HandOverAcceptor(), Token, "/us");
        builder.Services.AddKeyedSingleton("eu", eu).AddKeyedSingleton("us", us);
        await using var application = builder.Build();
        application.MapActiveActive(serviceKey: "eu");
        application.MapActiveActive("/other", "us");
        var patterns = ((Microsoft.AspNetCore.Routing.IEndpointRouteBuilder)application).DataSources
            .SelectMany(source => source.Endpoints).OfType<Microsoft.AspNetCore.Routing.RouteEndpoint>().Select(endpoint => endpoint.RoutePattern.RawText);
        Assert.Equal(["/eu", "/other"], patterns);
        Assert.Throws<InvalidOperationException>(() => application.MapActiveActive(serviceKey: "ap"));
    }

    [Fact]
    public void Endpoint_description_does_not_print_the_token() => Assert.DoesNotContain(Token, s_withToken.ToString(), StringComparison.Ordinal);

    [Theory]
    [InlineData("two words of a token")]
    [InlineData("line-one\nline-two-of-it")]
    [InlineData("schlüssel-schlüssel")]
    [InlineData("too-short")]
    public async Task Token_that_a_header_can_not_carry_is_refused_and_not_printed(string token)
    {
        var transport = new HttpPeerTransport(token);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () => await transport.ConnectAsync(new(new("us"), new Uri("http://127.0.0.1:1")), default));
        Assert.Equal(ReplicationErrorKind.Misconfigured, fault.Kind);
        Assert.DoesNotContain(token, fault.ToString(), StringComparison.Ordinal);
    }

    private static async Task<ReplicationException> DialAsync(PeerServer server, string? token)
    {
        var transport = new HttpPeerTransport(token);
        return await Assert.ThrowsAsync<ReplicationException>(async () =>
            await transport.ConnectAsync(new(new("us"), server.Address), default).AsTask().WaitAsync(TimeSpan.FromSeconds(30)));
    }

    private static void AssertSays(ReplicationException fault, ReplicationErrorKind kind, params string[] parts)
    {
        Assert.Equal(kind, fault.Kind);
        Assert.All(parts.Append("Peer us at http"), part => Assert.Contains(part, fault.Message, StringComparison.Ordinal));
    }
}
