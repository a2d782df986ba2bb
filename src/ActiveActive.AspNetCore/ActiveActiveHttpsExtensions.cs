using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.AspNetCore;
using ActiveActive.Credentials;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>Lets Kestrel's endpoints ask peers for their certificates.</summary>
public static class ActiveActiveHttpsExtensions
{
    /// <summary>
    /// Asks those who connect for a certificate, without requiring one, and takes peers' beside those that the machine trusts: certificates that the nodes of the application pin
    /// (<see cref="ActiveActive.PeerOptions.Certificates"/>) or that come from their <see cref="ActiveActive.ReplicationNodeOptions.TrustedAuthorities"/>. Others end the handshake, as
    /// without this call. A validation that was set before counts as the machine's; a mode that requires certificates stays. For all endpoints:
    /// <c>kestrel.ConfigureHttpsDefaults(https => https.UseActiveActiveClientCertificates(kestrel.ApplicationServices))</c>.
    /// </summary>
    /// <param name="https">The endpoint's settings.</param>
    /// <param name="services">The application's services; the nodes are looked up when the first certificate comes.</param>
    public static HttpsConnectionAdapterOptions UseActiveActiveClientCertificates(this HttpsConnectionAdapterOptions https, IServiceProvider services)
    {
        ArgumentNullException.ThrowIfNull(https);
        ArgumentNullException.ThrowIfNull(services);
        if (https.ClientCertificateMode is ClientCertificateMode.NoCertificate or ClientCertificateMode.DelayCertificate) https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
        var validation = https.ClientCertificateValidation;
        var refusals = new Lazy<RefusalLog>(() => new RefusalLog(
            (services.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance).CreateLogger("ActiveActive.Node"), services.GetService<TimeProvider>() ?? TimeProvider.System));
        var nodes = new Lazy<PeerEndpoint[]>(() => [.. services.GetServices<PeerEndpoint>(), .. services.GetKeyedServices<PeerEndpoint>(KeyedService.AnyKey)]);
        https.ClientCertificateValidation = (certificate, chain, errors) =>
        {
            if (validation?.Invoke(certificate, chain, errors) ?? errors == SslPolicyErrors.None) return true;
            var evidence = nodes.Value.Select(node => node.Credentials.Current.Evaluate(new PresentedCredential { Certificate = certificate })).ToList();
            if (evidence.Any(e => e.ByCertificate.Count > 0)) return true;
            refusals.Value.Note(null, evidence.FirstOrDefault()?.CertificateProblem ?? $"The certificate {CertificateTrust.Describe(certificate)} is not trusted.");
            return false;
        };
        return https;
    }
}
