using System.Diagnostics;
using QuickStart.Cluster;

namespace QuickStart.Writes;

/// <summary>Writes on all nodes at once, at a steady rate.</summary>
internal sealed class BankWriters(BankCluster cluster, WriteLog log, int ratePerNode)
{
    // Two at a time on each node, so that local writes meet each other, too.
    private const int TellersPerNode = 2;

    /// <summary>Writes until cancelled; every write that has begun is finished, so that its outcome is known.</summary>
    /// <exception cref="Npgsql.NpgsqlException">A database refused a write for a reason that does not pass.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var board = new MessageBoard();
        var tellers = cluster.Nodes
            .SelectMany(node => Enumerable.Range(0, TellersPerNode).Select(_ => new BankTeller(node, log, board)))
            .Select(teller => Task.Run(() => WriteSteadilyAsync(teller, ended), CancellationToken.None));
        await Task.WhenAll([.. tellers]);
    }

    private async Task WriteSteadilyAsync(BankTeller teller, CancellationTokenSource ended)
    {
        var interval = TimeSpan.FromSeconds((double)TellersPerNode / ratePerNode);
        var clock = Stopwatch.StartNew();
        var due = interval * Random.Shared.NextDouble();
        try
        {
            while (!ended.IsCancellationRequested)
            {
                if (due > clock.Elapsed) await Task.Delay(due - clock.Elapsed, ended.Token);
                await teller.WriteAnyAsync();
                // A teller that can't keep the rate does not try to make up for it in a burst.
                due = due + interval < clock.Elapsed - TimeSpan.FromSeconds(1) ? clock.Elapsed : due + interval;
            }
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
        }
        catch
        {
            // One failure ends the run: the others need not go on.
            await ended.CancelAsync();
            throw;
        }
    }
}
