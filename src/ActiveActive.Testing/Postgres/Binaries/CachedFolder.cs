using System.Diagnostics;

namespace ActiveActive.Testing;

/// <summary>
/// A folder of the user's cache that is filled once: under a file lock, into a staging folder, then renamed, so that parallel test
/// processes see either nothing or all of it.
/// </summary>
internal static class CachedFolder
{
    private const UnixFileMode ReadByAll = UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    private const UnixFileMode ReadableByAll = ReadByAll | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private static readonly TimeSpan LockTimeout = TimeSpan.FromMinutes(5);

    /// <param name="target">The folder; nothing is done where it exists.</param>
    /// <param name="fill">Fills a staging folder, which becomes the target.</param>
    /// <param name="cancellationToken">Ends the wait for another process that fills it.</param>
    public static async Task FillOnceAsync(string target, Func<string, Task> fill, CancellationToken cancellationToken)
    {
        if (Directory.Exists(target))
            return;
        CreateReadable(Path.GetDirectoryName(target)!);
        await using FileStream heldLock = await LockAsync(target + ".lock", cancellationToken);
        if (Directory.Exists(target))
            return;

        // Only the holder of the lock is here: another staging folder was left by an installation that was killed.
        string staging = target + ".staging";
        if (Directory.Exists(staging))
            Directory.Delete(staging, recursive: true);
        CreateReadable(staging);
        await fill(staging);
        MakeReadable(staging);
        Directory.Move(staging, target);
    }

    // A strict umask of root must not lock out the user as whom root's servers run.
    private static void MakeReadable(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        foreach (string inner in Directory.EnumerateDirectories(folder, "*", SearchOption.AllDirectories).Prepend(folder))
            File.SetUnixFileMode(inner, ReadableByAll);
        foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            if (File.ResolveLinkTarget(file, returnFinalTarget: false) is null)
                File.SetUnixFileMode(file, File.GetUnixFileMode(file) | ReadByAll);
        }
    }

    // The mode that a creation asks for is cut by the umask, so new folders get it afterwards.
    private static void CreateReadable(string folder)
    {
        if (Directory.Exists(folder))
            return;
        if (Path.GetDirectoryName(folder) is { } parent)
            CreateReadable(parent);
        Directory.CreateDirectory(folder);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(folder, ReadableByAll);
    }

    private static async Task<FileStream> LockAsync(string path, CancellationToken cancellationToken)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (waited.Elapsed < LockTimeout)
            {
                await Task.Delay(100, cancellationToken);
            }
        }
    }
}
