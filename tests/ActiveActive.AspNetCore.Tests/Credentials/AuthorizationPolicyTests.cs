using System.Security.Claims;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>An application decides by a policy of its own.</summary>
public sealed class AuthorizationPolicyTests
{
    private const string Token = "the-token-that-us-shows";
    private static readonly Uri s_us = new("https://us.example.com");

    [Fact]
    [Trait("Story", "32")]
    public async Task Replaced_policy_sees_what_was_shown_and_asked_for_and_its_reason_arrives()
    {
        var policy = new Recording(_ => PeerAuthorization.Refused("Not on Sundays."));
        await using var server = await StartAsync(policy);
        Assert.Contains("(AA3051): The authorization policy of node 'eu' refuses 'us': Not on Sundays.", await server.DialAsync("us", node => node.UseToken(Token)), StringComparison.Ordinal);
        var asked = Assert.Single(policy.Asked);
        Assert.Equal(("eu", "us", "eu", PeerPurpose.Changes), (asked.Node.Value, asked.Peer.Value, asked.Origin.Value, asked.Purpose));
        Assert.Equal("us", Assert.Single(asked.ProvenByToken).Value);
        Assert.Empty(asked.ProvenByCertificate);
        Assert.Equal((true, false, "127.0.0.1"), (asked.IsProofRequired, asked.IsAdmitted, asked.RemoteAddress?.ToString()));
    }

    [Fact]
    public async Task Policy_may_know_a_dialler_by_the_applications_own_authentication()
    {
        var policy = new Recording(context => context.User?.Identity?.Name == "us" ? PeerAuthorization.Allowed : PeerAuthorization.Refused("Who is that?"));
        await using var server = await StartAsync(policy, app => app.Use((HttpContext context, RequestDelegate next) =>
        {
            context.User = new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.Name, "us")], "test"));
            return next(context);
        }));
        Assert.Contains(NodeServer.LetIn, await server.DialAsync("us"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Policy_that_throws_refuses_and_keeps_its_exception_to_itself()
    {
        await using var server = await StartAsync(new Recording(_ => throw new InvalidOperationException("a detail")));
        var answer = await server.DialAsync("us", node => node.UseToken(Token));
        Assert.Contains("AA3051", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("a detail", answer, StringComparison.Ordinal);
        Assert.Contains("AA3055", server.Log.Text, StringComparison.Ordinal);
    }

    private static Task<NodeServer> StartAsync(IPeerAuthorizationPolicy policy, Action<WebApplication>? pipeline = null) => NodeServer.StartAsync(
        node => node.AddPeer("us", s_us, p => p.Token(Token)), builder: host => host.Services.AddSingleton(policy), pipeline: pipeline);

    private sealed class Recording(Func<PeerAuthorizationContext, PeerAuthorization> answer) : IPeerAuthorizationPolicy
    {
        public List<PeerAuthorizationContext> Asked { get; } = [];

        public ValueTask<PeerAuthorization> AuthorizeAsync(PeerAuthorizationContext context, CancellationToken cancellationToken)
        {
            Asked.Add(context);
            return new(answer(context));
        }
    }
}
