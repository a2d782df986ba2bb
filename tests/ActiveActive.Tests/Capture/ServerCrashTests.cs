using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using ActiveActive.Testing.Database;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace ActiveActive.Tests.Capture;

/// <summary>
/// The server of a node crashes and loses what it had applied of a peer, and the node's life goes on for a time: its capture waits on a connection that is dead, while sessions are opened again.
/// </summary>
public sealed class ServerCrashTests : IAsyncLifetime
{
    private static readonly NodeName s_self = new("c");
    private static readonly NodeName s_peer = new("a");
    private static readonly NodeName s_other = new("b");

    private readonly InMemoryDatabase _database = new(new InMemoryDatabaseOptions { Node = s_self, Clock = TimeProvider.System, Tables = [], LogWriterDelay = Timeout.InfiniteTimeSpan });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await _database.SetUpAsync(isJoining: false, Token);

    public ValueTask DisposeAsync() => _database.DisposeAsync();

    [Fact]
    public async Task Session_that_is_opened_before_capture_has_noticed_applies_nothing_in_that_life()
    {
        var old = await Life.StartAsync(_database);
        await old.ApplyAsync(_database, s_peer, 10);
        _database.Crash();
        await Assert.ThrowsAsync<ReplicationException>(() => old.Capturing);

        await using (var session = await _database.OpenApplySessionAsync(s_other, Token))
        {
            var settling = old.Capture.SettleProgressAsync(s_other, session, Token).AsTask();
            // It takes the lost transaction for there.
            Assert.Null(old.Progress.FirstUnmet(DependencyVector.Empty.Advance(s_peer, new(10))));
            Assert.False(settling.IsCompleted);
        }

        var next = await Life.StartAsync(_database);
        await using var again = await _database.OpenApplySessionAsync(s_other, Token);
        await next.Capture.SettleProgressAsync(s_other, again, Token);
        Assert.NotNull(next.Progress.FirstUnmet(DependencyVector.Empty.Advance(s_peer, new(10))));
    }

    /// <summary>A transaction that comes again may be unaware of what lies before the checkpoint, which would count as seen by it.</summary>
    [Fact]
    public async Task Checkpoint_is_saved_once_what_was_applied_when_it_was_stable_is_durable()
    {
        var life = await Life.StartAsync(_database);
        await life.PassAsync(_database);
        life.Capture.Heartbeat(force: true);
        var before = life.Capture.Checkpoint;
        await life.ApplyAsync(_database, s_peer, 10);
        foreach (var member in (NodeName[])[s_peer, s_other]) life.Progress.NoteMember(member, DependencyVector.Empty.Advance(s_self, life.Progress.Captured.Current));
        await life.Capture.SaveCheckpointAsync(Token);
        Assert.Equal(before, life.Capture.Checkpoint);

        await life.PassAsync(_database);
        await life.Capture.SaveCheckpointAsync(Token);
        Assert.True(life.Capture.Checkpoint.Position > before.Position);
        Assert.Equal(life.Capture.Checkpoint, await _database.FindCheckpointAsync(Token));
    }

    private sealed record Life(ReplicationProgress Progress, ChangeCapture Capture, Task Capturing)
    {
        public static async Task<Life> StartAsync(InMemoryDatabase database)
        {
            var progress = new ReplicationProgress(s_self, [s_peer, s_other]);
            var capture = new ChangeCapture(database, progress, (await database.FindCheckpointAsync(Token))!, new TransactionEncoder(1 << 20), 1 << 20, NullLogger.Instance);
            return new(progress, capture, capture.RunAsync(Token));
        }

        /// <summary>Has everything so far captured, which makes it durable.</summary>
        public async Task PassAsync(InMemoryDatabase database) => await Progress.Captured.WaitAsync((await database.WriteMarkerAsync(CommitTimestamp.Unknown, Token)).Position, Token);

        /// <summary>Visible, and not durable.</summary>
        public async Task ApplyAsync(InMemoryDatabase database, NodeName origin, ulong position)
        {
            var session = await database.OpenApplySessionAsync(origin, Token);
            await Capture.SettleProgressAsync(origin, session, Token);
            await session.BeginAsync(Token);
            await session.ExecuteAsync(new ApplyPlan(), Token);
            await session.CommitAsync(new(position), new CommitTimestamp(5), Token);
            Progress.AppliedOf(origin).Advance(session.AppliedPosition);
        }
    }
}
