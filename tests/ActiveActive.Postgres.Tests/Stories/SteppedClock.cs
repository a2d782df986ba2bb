using System.Globalization;
using System.Runtime.Versioning;
using ActiveActive.Postgres.Tests.Servers;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>A PostgreSQL server whose clock the test sets while it runs, by libfaketime.</summary>
[SupportedOSPlatform("linux")]
internal sealed class SteppedClock : IAsyncDisposable
{
    private const UnixFileMode Readable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly string _folder;

    private SteppedClock(string folder) => _folder = folder;

    public PostgresServer Server { get; private set; } = null!;

    public static async Task<SteppedClock> StartAsync(int version, CancellationToken cancellationToken)
    {
        var library = await LibraryAsync(cancellationToken);
        var found = await PostgresBinaries.FindAsync(version, cancellationToken);
        var folder = Path.Combine(ServerUser.Current.TemporaryFolder, "activeactive-clock-" + Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(folder, Readable);
        var clock = new SteppedClock(folder);
        try
        {
            clock.Set(TimeSpan.Zero);
            File.CreateSymbolicLink(Path.Combine(folder, "initdb"), Path.Combine(found.BinDirectory, "initdb"));
            var program = Path.Combine(folder, "postgres");
            await File.WriteAllTextAsync(program, $"""
                #!/bin/sh
                export LD_PRELOAD='{library}' FAKETIME_TIMESTAMP_FILE='{clock.Offset}' FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
                exec '{Path.Combine(found.BinDirectory, "postgres")}' "$@"

                """, cancellationToken);
            File.SetUnixFileMode(program, Readable);
            clock.Server = await PostgresServer.StartAsync(
                new PostgresServerOptions { Version = version, Binaries = new PostgresBinaries(folder, found.Version, "libfaketime") }, cancellationToken);
            return clock;
        }
        catch
        {
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    private string Offset => Path.Combine(_folder, "offset");

    /// <summary>The server's clock is so far ahead of the machine's from now on; negative for behind.</summary>
    public void Set(TimeSpan ahead)
    {
        // Replaced as a whole: the server reads it at every look at the clock.
        var next = Offset + ".next";
        File.WriteAllText(next, ahead.TotalSeconds.ToString("+0;-0", CultureInfo.InvariantCulture) + "\n");
        File.SetUnixFileMode(next, Readable);
        File.Move(next, Offset, overwrite: true);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task<string> LibraryAsync(CancellationToken cancellationToken) =>
        FindLibrary("/") ?? FindLibrary(await SystemPackage.UnpackAsync("libfaketime", "libfaketime, which sets a server's clock,", cancellationToken))
            ?? throw new InvalidOperationException("The package libfaketime does not hold faketime/libfaketime.so.1 where it was looked for.");

    private static string? FindLibrary(string root)
    {
        string[] folders = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib"];
        return folders.Select(folder => Path.Combine(root, folder, "faketime/libfaketime.so.1")).FirstOrDefault(File.Exists);
    }
}
