using System.Security.Cryptography;
using System.Text;

namespace ActiveActive.Credentials;

/// <summary>The rules of a token, which travels in a header. Messages never contain it.</summary>
internal static class PeerToken
{
    public const int MinLength = 16;

    /// <summary>What is wrong, as the rest of a sentence; null for nothing.</summary>
    public static string? Problem(string? token) => token switch
    {
        null or { Length: < MinLength } => $"is shorter than {MinLength} characters.",
        _ when !token.All(c => c is > ' ' and < (char)0x7f) => "travels in a header: use visible ASCII characters, letters, digits and signs, no spaces.",
        _ => null,
    };

    /// <summary>Digests are compared and kept, so that neither a comparison's time nor a dump of the memory of an idle node tells a token.</summary>
    public static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));
}
