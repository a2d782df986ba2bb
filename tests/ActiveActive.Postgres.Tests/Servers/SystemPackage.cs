using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Servers;

/// <summary>
/// A package of a Debian-like system that tests need and the machine lacks: fetched with apt into the user's cache and unpacked there, which
/// needs no root and changes nothing outside the cache.
/// </summary>
internal static class SystemPackage
{
    /// <summary>The folder that stands for the root of the file system, in which the package's files lie.</summary>
    /// <param name="name">The package; a regular expression, of which the last match in the order of names is taken.</param>
    /// <param name="use">What it is needed for, for the message.</param>
    /// <param name="cancellationToken">Ends the fetch.</param>
    /// <exception cref="InvalidOperationException">It can't be had; the message says why, and what to install.</exception>
    public static async Task<string> UnpackAsync(string name, string use, CancellationToken cancellationToken)
    {
        var cache = Path.Combine(BinarySources.FromEnvironment().CacheFolder!, "packages");
        var target = Path.Combine(cache, string.Concat(name.Where(c => char.IsAsciiLetterOrDigit(c) || c == '-')));
        await CachedFolder.FillOnceAsync(target, async staging =>
        {
            // Lists and archives of our own: the system's may be empty, and only root may write there.
            var apt = Path.Combine(staging, ".apt");
            Directory.CreateDirectory(Path.Combine(apt, "lists", "partial"));
            string[] own = ["-o", $"Dir::State::lists={Path.Combine(apt, "lists")}", "-o", $"Dir::Cache={apt}", "-o", "Debug::NoLocking=1"];
            await RunAsync("update", "apt-get", ["-qq", .. own, "update"]);
            var found = await RunAsync("search", "apt-cache", [.. own, "search", "--names-only", $"^{name}$"]);
            var package = found.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0]).Order(StringComparer.Ordinal).LastOrDefault() ?? throw Missing("apt knows no such package");
            // apt-get download writes into the working folder.
            await RunAsync("download", "sh", ["-c", $"cd '{apt}' && apt-get -qq {string.Join(' ', own.Select(o => $"'{o}'"))} download {package} && dpkg-deb -x {package}_*.deb '{staging}'"]);
            Directory.Delete(apt, recursive: true);
        }, cancellationToken);
        return target;

        async Task<string> RunAsync(string step, string program, string[] arguments)
        {
            var result = await ToolCommand.RunAsync(program, arguments, cancellationToken);
            return result.Succeeded ? result.Output : throw Missing($"apt could not {step}: {result.Output.Trim()}");
        }

        InvalidOperationException Missing(string why) => new($"{use} comes with the system package {name}, which is not installed here and can't be fetched ({why}). Install it.");
    }
}
