using System.Runtime.CompilerServices;

namespace ActiveActive.Tests.Snapshots;

/// <summary>
/// Compares a text with the approved one beside the test's source, by Verify's file convention:
/// <c>{Class}.{Test}.verified.txt</c> is approved, <c>{Class}.{Test}.received.txt</c> is what came instead.
/// </summary>
internal static class Snapshot
{
    public static void Verify(string received, [CallerFilePath] string source = "", [CallerMemberName] string test = "")
    {
        var stem = Path.Combine(FolderOf(source), $"{Path.GetFileNameWithoutExtension(source)}.{test}");
        var verifiedPath = stem + ".verified.txt";
        var receivedPath = stem + ".received.txt";
        var actual = Normalise(received);
        var expected = File.Exists(verifiedPath) ? Normalise(File.ReadAllText(verifiedPath)) : null;
        if (actual == expected)
        {
            File.Delete(receivedPath);
            return;
        }

        File.WriteAllText(receivedPath, actual);
        Assert.Fail(expected is null
            ? $"There is no {Path.GetFileName(verifiedPath)} yet. Look at {Path.GetFileName(receivedPath)} beside the test, and rename it if it is right.\n{actual}"
            : $"{Path.GetFileName(receivedPath)} differs from what was approved. Compare the two, and replace the approved one if the change is meant.\nExpected:\n{expected}\nReceived:\n{actual}");
    }

    /// <summary>The approved text of another test of the same class.</summary>
    public static string Read(string test, [CallerFilePath] string source = "") =>
        Normalise(File.ReadAllText(Path.Combine(FolderOf(source), $"{Path.GetFileNameWithoutExtension(source)}.{test}.verified.txt")));

    /// <summary>A deterministic build writes source paths from <c>/_/</c>, the repository's root.</summary>
    private static string FolderOf(string source)
    {
        var folder = Path.GetDirectoryName(source)!;
        if (Directory.Exists(folder)) return folder;
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (root is not null && !root.EnumerateFiles("*.sln").Any()) root = root.Parent;
        Assert.True(root is not null, "The repository's root is not above the test's output: snapshots can't be found.");
        return Path.Combine(root.FullName, folder.Replace("/_/", "", StringComparison.Ordinal));
    }

    private static string Normalise(string text) => text.ReplaceLineEndings("\n").TrimEnd('\n') + "\n";
}
