namespace ActiveActive.Transport;

/// <summary>What a peer has said of itself when it dialled last, for people to read.</summary>
/// <param name="Protocol">The protocol that both speak; null where they have none in common.</param>
/// <param name="LibraryVersion">Null where it does not say.</param>
/// <param name="ServerVersion">Of its PostgreSQL, as <c>server_version_num</c>; 0 in memory.</param>
/// <param name="SettingDifferences">The settings that must agree and do not, by name.</param>
internal sealed record PeerIntroduction(int? Protocol, string? LibraryVersion, int ServerVersion, IReadOnlyList<string> SettingDifferences)
{
    // A name among the features, which a node that does not know it passes over.
    private const string Prefix = "library/";

    /// <summary>By which a hello tells the version of the library.</summary>
    public static string Feature { get; } = Prefix + Hosting.LibraryVersion.Text;

    public static string? VersionIn(IReadOnlyList<string>? features) => features?.FirstOrDefault(f => f.StartsWith(Prefix, StringComparison.Ordinal))?[Prefix.Length..];
}
