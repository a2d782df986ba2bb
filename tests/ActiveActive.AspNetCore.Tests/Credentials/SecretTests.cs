using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>No secret is in anything that is logged, thrown or shown, whatever goes wrong.</summary>
public sealed class SecretTests
{
    private const string Mark = "MARKED-SECRET";
    private static readonly Uri s_us = new("https://us.example.com");

    [Fact]
    public async Task Dials_that_fail_in_every_way_show_no_token()
    {
        var said = new List<string>();
        using var certificate = TestCertificates.Create("eu.example.com");
        using var unknown = TestCertificates.Create("us.example.com");
        void Node(ReplicationNodeBuilder node) => node.UseSharedToken($"{Mark}-shared").AddPeer("us", s_us, p => p.Token($"{Mark}-of-us-1").ShowToken($"{Mark}-shown-to-us")).AddPeer("ap", s_us, p => p.Token($"{Mark}-of-ap-1"));
        void Us(ReplicationNodeBuilder node) => node.UseToken($"{Mark}-of-us-1");

        await using (var tls = await NodeServer.StartAsync(Node, certificate))
        {
            said.Add(await tls.DialAsync("us", Us, said));
            said.Add(await tls.DialAsync("ap", Us, said));
            said.Add(await tls.DialAsync("us", n => n.UseToken($"{Mark}-of-nobody"), said));
            said.Add(await tls.DialAsync("us", n => n.UseToken($"{Mark} with spaces"), said));
            said.Add(await tls.DialAsync("us", n => n.UseToken(() => throw new InvalidOperationException("no vault")), said));
            said.Add(await tls.DialAsync("us", n => n.UseToken($"{Mark}-of-us-1").UseCertificate(unknown), said));
            said.Add(await tls.DialAsync("us", n => n.UseToken($"{Mark}-of-us-1").With(o => o.Peers["eu"].Certificates.Clear()), said));
            said.Add(tls.Services.GetRequiredService<ReplicationNode>().Status.ToString());
            var health = await tls.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();
            said.AddRange(health.Entries.Select(e => $"{e.Value.Description} {e.Value.Exception} {string.Join(' ', e.Value.Data)}"));
            said.Add(tls.Log.Text);
        }

        await using (var far = await NodeServer.StartAsync(Node, pipeline: app => app.Use((HttpContext context, RequestDelegate next) =>
        {
            context.Connection.RemoteIpAddress = IPAddress.Parse("192.0.2.7");
            return next(context);
        })))
        {
            said.Add(await far.DialAsync("us", Us, said));
            said.Add(far.Log.Text);
        }

        // A server, or a proxy before it, that repeats what it was sent.
        await using (var echo = await NodeServer.StartAsync(Node, pipeline: app => app.Use((HttpContext context, RequestDelegate _) =>
        {
            context.Response.StatusCode = StatusCodes.Status418ImATeapot;
            context.Response.ContentType = "text/plain";
            return context.Response.WriteAsync($"You have sent: {context.Request.Headers.Authorization}");
        })))
        {
            var answer = await echo.DialAsync("us", Us, said);
            Assert.Contains("You have sent: Bearer [token]", answer, StringComparison.Ordinal);
            said.Add(answer);
            said.Add(echo.Log.Text);
        }

        Assert.DoesNotContain(said, text => text.Contains(Mark, StringComparison.Ordinal));
    }

    [Fact]
    public void Options_that_are_not_valid_are_listed_without_their_secrets()
    {
        var services = new ServiceCollection().AddLogging().AddActiveActive(node => node.Named("eu").UsePostgres($"Host=h;Database=d;Password={Mark}").Replicate("public.*")
            .UseSharedToken($"{Mark} spaced", $"{Mark}-1-one-token").UseCertificateFile("/nowhere", password: Mark)
            .AddPeer("us", new Uri($"https://user:{Mark}@us.example.com"), p => p.Token(Mark).Certificate("0123456789012345678901234567890123456789"))
            .AddPeer("ap", new Uri("http://ap.example.com"), p => p.Token($"{Mark}-1-one-token").Certificate("not a name")));
        using var provider = services.BuildServiceProvider();
        var fault = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<ReplicationNode>());
        string[] expected = ["SharedToken travels", "user or password", "shorter than 16", "160 bits", "http: tokens and rows", "same token", "'not a name' is neither"];
        Assert.Equal(expected.Length, fault.Failures.Count());
        Assert.All(expected, part => Assert.Contains(fault.Failures, f => f.Contains(part, StringComparison.Ordinal)));
        Assert.DoesNotContain(Mark, fault.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Configuration_that_can_not_be_read_is_named_by_its_key()
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["Peers:us"] = $"{Mark}@us.example.com" }).Build();
        var fault = Assert.Throws<FormatException>(() => new ServiceCollection().AddActiveActive(configuration));
        Assert.Contains("'Peers:us'", fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Mark, fault.ToString(), StringComparison.Ordinal);
    }
}
