using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>Over TLS the protocol is negotiated, and the certificate counts.</summary>
public sealed class PeerTlsTests
{
    private const string Token = "the-right-shared-token";

    private static readonly X509Certificate2 s_certificate = SelfSigned();

    [Fact]
    public async Task Stream_goes_over_tls()
    {
        var acceptor = new HandOverAcceptor();
        await using var server = await StartAsync(acceptor, HttpProtocols.Http1AndHttp2);
        var transport = TrustingTransport();
        await using var pair = await acceptor.PairWithAsync(await transport.ConnectAsync(new(new("us"), server.Address), default));
        await pair.Acceptor.Output.WriteAsync("hello"u8.ToArray());
        var result = await pair.Dialler.Input.ReadAsync();
        Assert.Equal(5, result.Buffer.Length);
        pair.Dialler.Input.AdvanceTo(result.Buffer.End);
    }

    [Fact]
    public async Task Endpoint_that_negotiates_http_1_1_only_is_named_as_such()
    {
        await using var server = await StartAsync(new HandOverAcceptor(), HttpProtocols.Http1);
        var transport = TrustingTransport();
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () => await transport.ConnectAsync(new(new("us"), server.Address), default));
        Assert.Equal(ReplicationErrorKind.PeerRefused, fault.Kind);
        Assert.Contains("HTTP/2", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Certificate_that_is_not_trusted_is_named_as_such()
    {
        await using var server = await StartAsync(new HandOverAcceptor(), HttpProtocols.Http1AndHttp2);
        var transport = new HttpPeerTransport(Token);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () => await transport.ConnectAsync(new(new("us"), server.Address), default));
        Assert.Contains("certificate", fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Token, fault.ToString(), StringComparison.Ordinal);
    }

    private static HttpPeerTransport TrustingTransport() => new(Token, configure: handler =>
        handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.GetCertHashString() == s_certificate.GetCertHashString());

    private static Task<PeerServer> StartAsync(IPeerAcceptor acceptor, HttpProtocols protocols) =>
        PeerServer.StartAsync(new PeerEndpoint(acceptor, Token, PeerProtocol.DefaultPath), protocols, certificate: s_certificate);

    private static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));

        // Through PKCS#12, since some platforms do not serve with a key that lives in memory only.
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), password: null);
    }
}
