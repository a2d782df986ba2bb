using System.Diagnostics;
using System.Globalization;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Servers;

/// <summary>What a running server has on the machine: a process, a folder and a System V shared memory segment.</summary>
internal sealed record ServerTraces(int ProcessId, string Folder, string SegmentId)
{
    public static ServerTraces Of(PostgresServer server)
    {
        string[] lockFile = File.ReadAllLines(Path.Combine(server.DataDirectory, "postmaster.pid"));
        string segment = lockFile[6].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        return new ServerTraces(server.ProcessId!.Value, Path.GetDirectoryName(server.DataDirectory)!, segment);
    }

    public static ServerTraces Parse(string line)
    {
        string[] parts = line.Split('|');
        return new ServerTraces(int.Parse(parts[0], CultureInfo.InvariantCulture), parts[1], parts[2]);
    }

    public string Format() => string.Create(CultureInfo.InvariantCulture, $"{ProcessId}|{Folder}|{SegmentId}");

    public bool Any() => Directory.Exists(Folder) || ProcessRuns() || SegmentExists();

    public override string ToString() =>
        $"folder {Folder}: {Directory.Exists(Folder)}, process {ProcessId}: {ProcessRuns()}, segment {SegmentId}: {SegmentExists()}";

    // A process that ended but was not reaped, as happens in a container without an init, has no modules and no memory.
    private bool ProcessRuns()
    {
        try
        {
            using Process process = Process.GetProcessById(ProcessId);
            return process.WorkingSet64 > 0;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private bool SegmentExists()
    {
        const string list = "/proc/sysvipc/shm";
        return File.Exists(list) && File.ReadLines(list).Skip(1)
            .Any(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1] == SegmentId);
    }
}
