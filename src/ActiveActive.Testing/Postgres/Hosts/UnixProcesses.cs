using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace ActiveActive.Testing;

/// <summary>Signals, which .NET does not offer.</summary>
[UnsupportedOSPlatform("windows")]
internal static class UnixProcesses
{
    public const int Interrupt = 2;
    public const int Quit = 3;
    public const int Kill = 9;

    // macOS has BSD's numbers.
    public static int Stop { get; } = OperatingSystem.IsMacOS() ? 17 : 19;

    /// <summary>Sends a signal; one to a process that is gone has no effect.</summary>
    public static void Send(int processId, int signal) => _ = NativeKill(processId, signal);

    public static async Task<IReadOnlyList<int>> ChildrenOfAsync(int parentId)
    {
        if (OperatingSystem.IsLinux())
            return [.. LinuxProcesses().Where(process => Read(process) is { } stat && stat.ParentId == parentId)];

        ToolResult result = await ToolCommand.RunAsync("ps", ["-A", "-o", "pid=,ppid="], CancellationToken.None);
        return
        [
            .. result.Output.Split('\n')
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(columns => columns.Length == 2 && columns[1] == parentId.ToString(CultureInfo.InvariantCulture))
                .Select(columns => int.Parse(columns[0], CultureInfo.InvariantCulture)),
        ];
    }

    /// <summary>Whether the process can still do something; one that only waits to be reaped cannot.</summary>
    public static bool IsAlive(int processId) =>
        OperatingSystem.IsLinux() ? Read(processId) is { State: not ('Z' or 'X') } : NativeKill(processId, 0) == 0;

    private static IEnumerable<int> LinuxProcesses() =>
        Directory.EnumerateDirectories("/proc")
            .Select(Path.GetFileName)
            .Where(name => int.TryParse(name, CultureInfo.InvariantCulture, out _))
            .Select(name => int.Parse(name!, CultureInfo.InvariantCulture));

    private static (char State, int ParentId)? Read(int processId)
    {
        try
        {
            // "17 (a name (with anything)) S 1 ...": the fields start behind the last parenthesis.
            string stat = File.ReadAllText($"/proc/{processId}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (fields[0][0], int.Parse(fields[1], CultureInfo.InvariantCulture));
        }
        catch (IOException)
        {
            return null;
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int NativeKill(int processId, int signal);
}
