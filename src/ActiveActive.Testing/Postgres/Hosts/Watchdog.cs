using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.Versioning;

namespace ActiveActive.Testing;

/// <summary>
/// Ends a server and removes its folder when the test process closes a pipe, be it on purpose or because it died, even
/// of SIGKILL. Disposing goes the same way as dying, so the path that matters most runs in every test.
/// The watchdog is a shell in its own session whose parent has ended: neither Ctrl+C in the terminal nor a runner that
/// kills the test process with its group or its children takes it along.
/// </summary>
[UnsupportedOSPlatform("windows")]
internal sealed class Watchdog : IAsyncDisposable
{
    private const string Launcher = """
        command -v setsid >/dev/null 2>&1 && session=setsid
        exec 3<&0
        $session sh -c "$1" activeactive-pg-watchdog "$2" <&3 3<&- 2>/dev/null &
        """;

    // The folder's name in the command line proves that the process id still belongs to this server; a process that
    // only waits to be reaped has no command line.
    private const string Script = """
        trap '' INT TERM HUP PIPE
        folder=$1
        case $folder in */activeactive-pg-?*) ;; *) exit 1 ;; esac
        cat >/dev/null

        pid=$(cat "$folder/pid")
        runs() {
          [ -n "$pid" ] || return 1
          if [ -d /proc/self ]; then tr '\0' ' ' <"/proc/$pid/cmdline"; else ps -p "$pid" -o command=; fi | grep -qF -- "$folder"
        }
        tries=0
        if runs; then
          kill -QUIT "$pid"
          kill -CONT "$pid"
          while runs && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
          runs && kill -KILL "$pid"
        fi

        # A server that was killed leaves its lock file, whose line 7 names its System V segment.
        set -- $(sed -n 7p "$folder/data/postmaster.pid")
        [ -n "$2" ] && ipcrm -m "$2"

        # A program that is just ending may still write into the folder.
        tries=0
        while [ $tries -lt 200 ]; do
          rm -rf "$folder"
          [ -e "$folder" ] || exit 0
          sleep 0.05
          tries=$((tries + 1))
        done
        """;

    // A server whose object nobody holds any more must run on: its pipe must not be closed by the garbage collector.
    private static readonly ConcurrentDictionary<Watchdog, bool> Active = new();

    private readonly Process _process;

    private Watchdog(Process process)
    {
        _process = process;
        Active.TryAdd(this, true);
    }

    /// <summary>Starts watching; BEFORE the folder is made, so that nothing is ever unwatched.</summary>
    public static Watchdog Start(string folder)
    {
        ProcessStartInfo start = ToolCommand.StartInfo("sh", ["-c", Launcher, "sh", Script, folder], user: null);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        return new Watchdog(Process.Start(start)!);
    }

    /// <summary>Ends the server and waits until its folder is gone: the watchdog's end closes its output.</summary>
    public async ValueTask DisposeAsync()
    {
        Active.TryRemove(this, out _);
        _process.StandardInput.Close();
        await _process.StandardOutput.ReadToEndAsync();
        _process.Dispose();
    }
}
