using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using ActiveActive.Testing;
using Npgsql;
using QuickStart.Cluster;

namespace ActiveActive.Soak.Cluster;

/// <summary>A server, its database, and the host process before it. Each of the two is started again after it was killed.</summary>
internal sealed class SoakNode(BankNode bank) : IAsyncDisposable
{
    private const int Continue = 18;
    private const int Stop = 19;

    public int Index => bank.Index;

    public string Name => bank.Name;

    public BankNode Bank => bank;

    public PostgresServer Server => bank.Server;

    /// <summary>The application's connections.</summary>
    public NpgsqlDataSource App => bank.App;

    /// <summary>The host's resident memory; null while there is none.</summary>
    public long? HostBytes
    {
        get
        {
            try
            {
                if (bank.Host is not { HasExited: false } host) return null;
                using var process = Process.GetProcessById(host.Id);
                return process.WorkingSet64;
            }
            catch (Exception e) when (e is ArgumentException or InvalidOperationException)
            {
                // It has just ended.
                return null;
            }
        }
    }

    public void StopHost() => Signal(bank.Host!.Id, Stop);

    public void ContinueHost() => Signal(bank.Host!.Id, Continue);

    /// <summary>SIGSTOP to the postmaster and to all that it has started.</summary>
    public void StopServer() => SignalServer(Stop);

    public void ContinueServer() => SignalServer(Continue);

    /// <summary>Starts a killed server again. Connections of before would fail their next user.</summary>
    public async Task StartServerAgainAsync()
    {
        await Server.StartAgainAsync();
        App.Clear();
        Bank.History.Clear();
    }

    public async ValueTask DisposeAsync() => await bank.DisposeAsync();

    private void SignalServer(int signal)
    {
        var postmaster = int.Parse(File.ReadLines(Path.Combine(Server.DataDirectory, "postmaster.pid")).First(), CultureInfo.InvariantCulture);
        Signal(postmaster, signal);
        foreach (var child in File.ReadAllText($"/proc/{postmaster}/task/{postmaster}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
            Signal(int.Parse(child, CultureInfo.InvariantCulture), signal);
    }

    private static void Signal(int process, int signal) => _ = Kill(process, signal);

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int process, int signal);
}
