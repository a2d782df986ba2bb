using System.Text.Json.Nodes;
using ActiveActive.Database;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Commands;

/// <summary>
/// While an instance leads: reports its status to the database, does what is asked there, and pauses the peers that are to be paused. Runs beside the node's life and beside its join, so that one can look at both.
/// A database that is away ends this lead elsewhere.
/// </summary>
internal sealed partial class CommandLoop(ReplicationNode node, INodeDesk desk, TimeProvider timeProvider, ILogger logger, CancellationToken stopping) : IDisposable
{
    /// <summary>How soon it is noticed that something is asked, or has changed.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    // Positions of a busy node change all the time.
    private static readonly TimeSpan s_countInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(2);
    private const int MostAtOnce = 8;
    private const int TriesToEnd = 5;

    private readonly SemaphoreSlim _reporting = new(1);
    private readonly List<Task> _running = [];
    private string? _states;
    private ulong _count;
    private long _reportedAt;
    private string? _told;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval, timeProvider);
        var isNew = true;
        do
        {
            try
            {
                if (isNew)
                {
                    await desk.AbandonCommandsAsync(cancellationToken);
                    // What another instance reported meanwhile says nothing of this one.
                    _states = null;
                    isNew = false;
                }

                var isAsked = await node.FollowDeskAsync(cancellationToken);
                _running.RemoveAll(static task => task.IsCompleted);
                while (isAsked && _running.Count < MostAtOnce && await desk.TakeCommandAsync(cancellationToken) is { } command) _running.Add(DoAsync(command));
                if (IsWorthReporting(node.Status)) await ReportAsync(node.Status, cancellationToken);
                _told = null;
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                if (_told != e.Message) LogNotServed(node.Name, e.Message);
                _told = e.Message;
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>Reports the node as it is now.</summary>
    /// <exception cref="ReplicationException">The database can't be written to.</exception>
    public async Task ReportAsync(NodeStatus status, CancellationToken cancellationToken)
    {
        await _reporting.WaitAsync(cancellationToken);
        try
        {
            await desk.SaveReportAsync(StatusReport.Of(status).ToJsonString(), cancellationToken);
            _states = StatusReport.StatesOf(status).ToJsonString();
            _count = StatusReport.CountOf(status);
            _reportedAt = timeProvider.GetTimestamp();
        }
        finally
        {
            _reporting.Release();
        }
    }

    /// <summary>Says how this lead ends, if the database is there to hear it. BEFORE the lead is given back: what comes later is another instance's.</summary>
    public async Task ReportEndAsync(NodeState state, string? message)
    {
        using var patience = new CancellationTokenSource(s_lastWords, timeProvider);
        try
        {
            await ReportAsync(node.Status with { State = state, Message = message }, patience.Token);
        }
        catch (Exception e) when (e is ReplicationException or OperationCanceledException)
        {
            // There is no database, or it was never set up; the log has it.
        }
    }

    public void Dispose() => _reporting.Dispose();

    private bool IsWorthReporting(NodeStatus status) =>
        StatusReport.StatesOf(status).ToJsonString() != _states
        || (timeProvider.GetElapsedTime(_reportedAt) >= s_countInterval && StatusReport.CountOf(status) != _count);

    private async Task DoAsync(NodeCommand command)
    {
        var outcome = await OutcomeOfAsync(command);
        LogDone(node.Name, command.Id, command.Verb, outcome.Error ?? "done");
        for (var tries = 0; tries < TriesToEnd && !stopping.IsCancellationRequested; tries++)
        {
            try
            {
                await desk.EndCommandAsync(command.Id, outcome, stopping);
                return;
            }
            catch (Exception e) when (e is ReplicationException or OperationCanceledException)
            {
                // Whoever asked sees that the instance has ended, or waits in vain.
                await Task.Delay(Interval, timeProvider, stopping).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
            }
        }
    }

    private async Task<CommandOutcome> OutcomeOfAsync(NodeCommand command)
    {
        if (!NodeVerbs.All.TryGetValue(command.Verb, out var verb))
            return new CommandOutcome(null, "AA6007", $"The instance that leads node '{node.Name}' (library {Hosting.LibraryVersion.Text}) does not know the verb '{command.Verb}'. Use a tool of its version.");
        try
        {
            JsonObject? result = await verb(node, command.Arguments, stopping);
            return new CommandOutcome(result?.ToJsonString());
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return new CommandOutcome(null, "AA6008", e.Message);
        }
        catch (OperationCanceledException)
        {
            return new CommandOutcome(null, "AA6006", "The instance stopped before it was done.");
        }
    }

    [LoggerMessage(EventId = 6011, Level = LogLevel.Information, Message = "AA6011: node '{Node}' was asked to {Verb} (command {Id}): {Outcome}")]
    private partial void LogDone(NodeName node, long id, string verb, string outcome);

    [LoggerMessage(EventId = 6012, Level = LogLevel.Warning, Message = "AA6012: node '{Node}' could not report its status or read what it is asked to do, and tries again: {Reason}")]
    private partial void LogNotServed(NodeName node, string reason);
}
