using System.Diagnostics;
using System.Globalization;
using ActiveActive.Benchmarks.Clusters;
using Npgsql;

namespace ActiveActive.Benchmarks.Workloads;

/// <summary>PostgreSQL's own load: TPC-B as <c>pgbench</c> writes it, but with a primary key for the history, without which no row of it is told from another.</summary>
internal static class Pgbench
{
    private const int AccountsPerBranch = 100_000;
    private const int TellersPerBranch = 10;
    private const int Clients = 4;

    public static string Seed(int branches) => $"""
        CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int NOT NULL, filler char(88)) WITH (fillfactor = 100);
        CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int NOT NULL, filler char(84)) WITH (fillfactor = 100);
        CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int NOT NULL, filler char(84)) WITH (fillfactor = 100);
        CREATE TABLE pgbench_history (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
        INSERT INTO pgbench_branches SELECT i, 0, '' FROM generate_series(1, {branches}) i;
        INSERT INTO pgbench_tellers SELECT i, (i - 1) / {TellersPerBranch} + 1, 0, '' FROM generate_series(1, {branches * TellersPerBranch}) i;
        INSERT INTO pgbench_accounts SELECT i, (i - 1) / {AccountsPerBranch} + 1, 0, '' FROM generate_series(1, {branches * AccountsPerBranch}) i;
        """;

    /// <summary>Runs so many transactions on the branches of one part.</summary>
    public static Task RunAsync(WriterPlace place, int branches, int transactions, CancellationToken cancellationToken) =>
        RunAsync(place, branches, $"--transactions={transactions / Clients}", cancellationToken);

    /// <summary>Runs for so long; transactions per second.</summary>
    public static async Task<double> MeasureAsync(WriterPlace place, int branches, int seconds, CancellationToken cancellationToken)
    {
        return Rate(await RunAsync(place, branches, $"--time={seconds}", cancellationToken));
    }

    /// <summary>Runs for so long at a rate that is asked for; transactions per second.</summary>
    public static async Task<double> MeasureAsync(WriterPlace place, int branches, int seconds, int rate, CancellationToken cancellationToken) =>
        Rate(await RunAsync(place, branches, $"--time={seconds} --rate={rate}", cancellationToken));

    private static double Rate(string output)
    {
        var line = output.Split('\n').FirstOrDefault(l => l.StartsWith("tps = ", StringComparison.Ordinal)) ?? throw new BenchmarkException($"pgbench told no tps:\n{output}");
        return double.Parse(line.Split(' ')[2], CultureInfo.InvariantCulture);
    }

    private static async Task<string> RunAsync(WriterPlace place, int branches, string amount, CancellationToken cancellationToken)
    {
        var share = branches / place.Parts;
        var first = place.Part * share + 1;
        var script = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(script, Script(first, share), cancellationToken);
            var to = new NpgsqlConnectionStringBuilder(place.Database.OwnerConnectionString);
            var start = new ProcessStartInfo("pgbench") { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (var argument in new[] { "--no-vacuum", "--protocol=prepared", $"--client={Clients}", "--jobs=2", $"--file={script}", $"--host={to.Host}", $"--port={to.Port}", $"--username={to.Username}", to.Database! })
                start.ArgumentList.Add(argument);
            foreach (var argument in amount.Split(' ')) start.ArgumentList.Insert(0, argument);
            start.Environment["PGPASSWORD"] = to.Password;
            using var process = Process.Start(start)!;
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(cancellationToken), process.StandardError.ReadToEndAsync(cancellationToken));
            await process.WaitForExitAsync(cancellationToken);
            return process.ExitCode == 0 ? await output : throw new BenchmarkException($"pgbench failed: {await errors}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new BenchmarkException("This case needs pgbench in PATH; it comes with PostgreSQL's own packages.", e);
        }
        finally
        {
            File.Delete(script);
        }
    }

    /// <summary>The built-in script <c>tpcb-like</c>, bound to a range of branches so that two writers do not collide.</summary>
    private static string Script(int first, int count) => $"""
        \set bid random({first}, {first + count - 1})
        \set tid random({(first - 1) * TellersPerBranch + 1}, {(first + count - 1) * TellersPerBranch})
        \set aid random({(first - 1) * AccountsPerBranch + 1}, {(first + count - 1) * AccountsPerBranch})
        \set delta random(-5000, 5000)
        BEGIN;
        UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
        SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
        UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
        UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
        INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
        END;

        """;
}
