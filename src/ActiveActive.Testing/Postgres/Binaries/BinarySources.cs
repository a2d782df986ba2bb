namespace ActiveActive.Testing;

/// <summary>Where to look for servers: the surroundings of the process, as data, so that a test can take all of them away.</summary>
internal sealed record BinarySources
{
    /// <summary>Value of ACTIVEACTIVE_PG_BIN.</summary>
    public string? BinVariable { get; init; }

    /// <summary>Folders of PATH, in order.</summary>
    public IReadOnlyList<string> PathFolders { get; init; } = [];

    /// <summary>Bin folders of usual installations; <c>{0}</c> stands for the major version.</summary>
    public IReadOnlyList<string> InstallFolders { get; init; } = [];

    /// <summary>Where npm packages are kept; null switches npm off.</summary>
    public string? CacheFolder { get; init; }

    /// <summary>Whether a Docker engine may be asked.</summary>
    public bool Containers { get; init; }

    public static BinarySources FromEnvironment() => new()
    {
        BinVariable = Environment.GetEnvironmentVariable("ACTIVEACTIVE_PG_BIN"),
        PathFolders = Split(Environment.GetEnvironmentVariable("PATH")),
        InstallFolders = OperatingSystem.IsWindows()
            ? [Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles), "PostgreSQL", "{0}", "bin")]
            :
            [
                "/usr/lib/postgresql/{0}/bin",
                "/usr/pgsql-{0}/bin",
                "/opt/homebrew/opt/postgresql@{0}/bin",
                "/usr/local/opt/postgresql@{0}/bin",
            ],
        CacheFolder = FindCacheFolder(),
        Containers = true,
    };

    public static IReadOnlyList<string> Split(string? folders) =>
        folders?.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    private static string FindCacheFolder()
    {
        string? chosen = Environment.GetEnvironmentVariable("ACTIVEACTIVE_PG_CACHE");
        if (!string.IsNullOrEmpty(chosen))
            return Path.GetFullPath(chosen);
        if (OperatingSystem.IsWindows())
            return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "activeactive", "postgres");

        // Root's servers run as somebody else, who cannot look into root's home.
        if (ServerUser.Current.Name is not null)
            return "/var/cache/activeactive/postgres";
        string cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(cache, "activeactive", "postgres");
    }
}
