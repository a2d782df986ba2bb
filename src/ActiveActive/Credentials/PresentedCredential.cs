using System.Net;
using System.Security.Claims;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.Credentials;

/// <summary>What a dialler has shown, before anybody believes it. It lives as long as the connection, and is looked at again whenever the allow-lists change.</summary>
internal sealed class PresentedCredential
{
    /// <summary>Of a network within the process: it speaks for every peer.</summary>
    public static PresentedCredential InProcess { get; } = new() { IsInProcess = true, IsLocal = true };

    public bool IsInProcess { get; private init; }

    /// <summary>Whose private key the dialler has.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>Of the token; the token itself is not kept.</summary>
    public byte[]? TokenHash { get; init; }

    public IPAddress? RemoteAddress { get; init; }

    /// <summary>Whether the dialler is on loopback, and not behind a proxy there.</summary>
    public bool IsLocal { get; init; }

    public bool IsEncrypted { get; init; }

    /// <summary>As whom the application's own authentication knows the dialler.</summary>
    public ClaimsPrincipal? User { get; init; }
}
