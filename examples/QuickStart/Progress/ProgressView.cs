using System.Diagnostics;
using System.Globalization;
using System.Text;
using QuickStart.Cluster;
using QuickStart.Writes;

namespace QuickStart.Progress;

/// <summary>Shows how the run is going: a block that is redrawn on a terminal, else a line every two seconds.</summary>
internal sealed class ProgressView
{
    private static readonly TimeSpan s_redraw = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_line = TimeSpan.FromSeconds(2);

    private readonly BankCluster _cluster;
    private readonly WriteLog _log;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Lock _lock = new();
    private readonly bool _isTerminal = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") != "dumb";
    private int _drawn;

    public ProgressView(BankCluster cluster, WriteLog log)
    {
        _cluster = cluster;
        _log = log;
    }

    /// <summary>What the run is doing.</summary>
    public string Phase { get; set; } = "";

    /// <summary>Shows progress until cancelled; never fails because of a host that is away.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                Show(await _cluster.ReadStatusAsync(cancellationToken));
                await Task.Delay(_isTerminal ? s_redraw : s_line, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
    }

    /// <summary>A line that stays.</summary>
    public void Say(string line)
    {
        lock (_lock)
        {
            Console.WriteLine(line);
            // The next block is drawn below it.
            _drawn = 0;
        }
    }

    private void Show(ClusterSnapshot snapshot)
    {
        lock (_lock)
        {
            var head = string.Create(CultureInfo.InvariantCulture,
                $"[{_clock.Elapsed.TotalSeconds,4:0} s] {Phase}: {_log.Transactions:N0} writes, {snapshot.Applied:N0} applied, {snapshot.Conflicts:N0} conflicts");
            if (_isTerminal) Redraw(head, snapshot);
            else Console.WriteLine($"{head}; lag {string.Join(", ", snapshot.Pairs().Select(Short))}");
        }
    }

    private void Redraw(string head, ClusterSnapshot snapshot)
    {
        var block = new StringBuilder();
        if (_drawn > 0) block.Append(CultureInfo.InvariantCulture, $"\e[{_drawn}A\e[J");
        block.AppendLine(head);
        _drawn = 1;
        foreach (var pair in snapshot.Pairs())
        {
            // A line that wraps would spoil the next redraw.
            block.AppendLine(string.Create(CultureInfo.InvariantCulture,
                $"  {pair.From,7} → {pair.To,-7} lag {Bytes(pair),10} {pair.LagSeconds,6:0.0} s {pair.AppliedTransactions,8:N0} applied  {pair.Receiving?.ToString() ?? "away"}"));
            _drawn++;
        }

        Console.Write(block);
    }

    private static string Short(PairStatus pair) => string.Create(CultureInfo.InvariantCulture, $"{pair.From}→{pair.To} {Bytes(pair)} ({pair.AppliedTransactions:N0} tx)");

    private static string Bytes(PairStatus pair) => pair.LagBytes switch
    {
        null => "unknown",
        < 10_000 => string.Create(CultureInfo.InvariantCulture, $"{pair.LagBytes} B"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{pair.LagBytes / 1024.0:N0} KiB"),
    };
}
