using System.Security.Cryptography.X509Certificates;
using ActiveActive.Credentials;
using ActiveActive.Transport;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>Credentials are added, shown and taken away without a restart. (A stream that goes on meanwhile: CredentialStories.)</summary>
public sealed class CredentialReloadTests
{
    private const string Old = "the-token-of-last-year";
    private const string New = "the-token-of-this-year";

    [Fact]
    public async Task Allow_list_follows_the_configuration()
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Peers:us:Address"] = "https://us.example.com",
            ["Peers:us:Tokens:0"] = Old,
        }).Build();
        await using var server = await NodeServer.StartAsync(_ => { }, section: configuration);
        Assert.Contains("AA3052", await DialAsync(New), StringComparison.Ordinal);

        configuration["Peers:us:Tokens:1"] = New;
        configuration.Reload();
        Assert.Contains(NodeServer.LetIn, await DialAsync(Old), StringComparison.Ordinal);
        Assert.Contains(NodeServer.LetIn, await DialAsync(New), StringComparison.Ordinal);

        configuration["Peers:us:Tokens:0"] = New;
        configuration.Reload();
        Assert.Contains("AA3052", await DialAsync(Old), StringComparison.Ordinal);
        Assert.Contains("AA3056", server.Log.Text, StringComparison.Ordinal);

        // What is not valid changes nothing, and is said without the value.
        configuration["Peers:us:Tokens:0"] = "tooshort!";
        configuration.Reload();
        Assert.Contains(NodeServer.LetIn, await DialAsync(New), StringComparison.Ordinal);
        Assert.Contains("AA3057", server.Log.Text, StringComparison.Ordinal);
        Assert.Contains("Tokens[0] of peer 'us' is shorter", server.Log.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("tooshort!", server.Log.Text, StringComparison.Ordinal);

        Task<string> DialAsync(string token) => server.DialAsync("us", node => node.UseToken(token));
    }

    [Fact]
    public async Task Certificate_file_is_read_again_when_it_changes_and_a_half_written_one_is_not_shown()
    {
        using var serverCertificate = TestCertificates.Create("eu.example.com");
        using var first = TestCertificates.Create("us.example.com");
        using var second = TestCertificates.Create("us.example.com");
        await using var server = await NodeServer.StartAsync(
            node => node.AddPeer("us", new Uri("https://us.example.com"), p => p.Certificate(second.Thumbprint())), serverCertificate);
        var folder = Directory.CreateTempSubdirectory("activeactive-certificate-");
        try
        {
            var (path, key) = (Path.Combine(folder.FullName, "own.pem"), Path.Combine(folder.FullName, "own.key"));
            await File.WriteAllTextAsync(path, first.ExportCertificatePem());
            await File.WriteAllTextAsync(key, first.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
            var builder = new ReplicationNodeBuilder(new ServiceCollection(), new ReplicationNodeOptions());
            builder.Named("us").AddPeer("eu", server.Address, p => p.Certificate(serverCertificate.Thumbprint())).UseCertificateFile(path, key);
            var log = new CapturedLog();
            using var credentials = CredentialStore.Of(builder.Options, TimeProvider.System, log);
            var transport = new HttpPeerTransport(credentials);
            Assert.Contains(first.Thumbprint(), await DialAsync(), StringComparison.Ordinal);

            // Only the certificate, and not its key yet.
            await File.WriteAllTextAsync(path, second.ExportCertificatePem() + "\n");
            Assert.Contains(first.Thumbprint(), await DialAsync(), StringComparison.Ordinal);
            Assert.Contains("AA3058", log.Text, StringComparison.Ordinal);

            await File.WriteAllTextAsync(key, second.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem() + "\n");
            Assert.Contains(NodeServer.LetIn, await DialAsync(), StringComparison.Ordinal);

            Task<string> DialAsync() => NodeServer.DialAsync(transport, server.Address, "us");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
