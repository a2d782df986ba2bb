using System.Collections.Concurrent;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Hosting;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Membership;

/// <summary>
/// Makes an empty node a member while all others go on writing. In this order: its own application is kept out; every member adds it, and from then on keeps what it has not; one of them holds a snapshot and says, per origin, the last
/// transaction in it; the tables are copied; the node goes on behind those transactions. So nothing is missed and nothing comes twice. What fails is begun anew.
/// </summary>
internal sealed partial class NodeJoin(PeerLinkContext context, Handshake handshake, NodeName donor, int parallelism, JoinProgress progress, ILogger logger)
{
    /// <summary>Where capture would go on, of a node that has data of its own, which is given up first; null for a new one.</summary>
    public CaptureCheckpoint? GivenUp { get; init; }

    private readonly ILogger _logger = logger;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        // Nothing is given up before every member has taken the node in again.
        if (GivenUp is not null) await new UnsentWrites(context.Self, context.Database, donor).GiveUpAsync(GivenUp, (await AskMembersAsync(cancellationToken)).Reach, cancellationToken);
        await context.Database.BeginJoinAsync(cancellationToken);
        var (members, _) = await AskMembersAsync(cancellationToken);
        var address = context.Peers.Single(p => p.Name == donor);
        var snapshot = await CopyAsync(address, cancellationToken);
        await WaitUntilPastAsync(snapshot.GreatestStamp, cancellationToken);
        await context.Database.EndJoinAsync(snapshot.Copied, snapshot.GreatestStamp, members, cancellationToken);
        LogJoined(context.Self, progress.Status!.Rows, snapshot.Copied);
    }

    /// <summary>Asks every member to add this node, and makes sure that all of them mean the same cluster. Also says which of this node's transactions they have, where it was a member before.</summary>
    private async Task<(IReadOnlyList<Member> Members, NpgsqlLogSequenceNumber Reach)> AskMembersAsync(CancellationToken cancellationToken)
    {
        // All that this node will write as a member lies behind.
        var end = (await context.Database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken)).Position;
        var reach = default(NpgsqlLogSequenceNumber);
        var configured = context.Peers.Select(p => p.Name).Append(handshake.Self).ToHashSet();
        foreach (var peer in context.Peers)
        {
            var (frames, welcome) = await DialAsync(peer, context.Self, end, HelloPurpose.Join, cancellationToken);
            await using var connection = frames;
            if (welcome.Reach > reach) reach = welcome.Reach;
            if (await CopiedTableReader.ReadAsync(frames, peer.Name, cancellationToken) is not MembersFrame { Members: var members })
                throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Node '{peer.Name}' did not answer with its members.");
            var known = members.Select(m => m.Name).ToHashSet();
            if (known.Except(configured).Order().FirstOrDefault() is { IsNone: false } missing)
                throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"Node '{missing}' is a member of the cluster, as node '{peer.Name}' knows it, and no peer of this node: add it with AddPeer(\"{missing}\", …).");
            if (configured.Except(known).Order().FirstOrDefault() is { IsNone: false } unknown)
                throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"Node '{peer.Name}' knows no member '{unknown}', which is a peer of this node. Nodes join one after the other: let '{unknown}' join first, or leave it out here.");
            if (members.FirstOrDefault(m => m.Name == donor) is { State: MemberState.Joining })
                throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"Node '{donor}', from which this node is to get its data, has not joined yet itself. Name another one with JoinFrom(…).");
        }

        return ([.. configured.Order().Select(name => new Member(name, MemberState.Joined))], reach);
    }

    /// <summary>As for what is applied: a local write over a copied row must show the later stamp, whatever the clocks say.</summary>
    private async Task WaitUntilPastAsync(CommitTimestamp stamp, CancellationToken cancellationToken)
    {
        await using var session = await context.Database.OpenCopySessionAsync(cancellationToken);
        await new ApplyClock(context.TimeProvider).WaitUntilPastAsync(stamp, session.ReadServerTimeAsync, cancellationToken);
    }

    /// <summary>Holds a snapshot by one connection, and copies its tables by others.</summary>
    private async Task<SnapshotFrame> CopyAsync(PeerAddresses address, CancellationToken cancellationToken)
    {
        await using var holding = await DialAsync(address, HelloPurpose.Copy, cancellationToken);
        var snapshot = await RequestAsync(holding, Guid.Empty, cancellationToken);
        if (snapshot.Tables.FirstOrDefault(t => !context.Routes.Holds(context.Self, t.Relation)) is { } forbidden)
            throw new ReplicationException(ReplicationErrorKind.PeerRefused, $"AA3060: node '{donor}' offers rows of table {forbidden.Relation.Name}, which by the table rules is not on this node. Nothing of it is taken. Make the table rules (OnlyOn) equal on every node.");
        progress.Begin(donor, snapshot.Tables);
        LogCopying(context.Self, donor, snapshot.Tables.Count, snapshot.Copied);

        var tables = new ConcurrentQueue<TableToCopy>(snapshot.Tables);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var pinging = PingAsync(holding, over.Token);
        var copying = Enumerable.Range(0, Math.Clamp(snapshot.Tables.Count, 1, parallelism)).Select(_ => CopyAsync(address, snapshot, tables, over)).ToList();
        // All have ended before the connection that holds the snapshot is closed; the first fault is the one to tell.
        await Task.WhenAll(copying).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
        await over.CancelAsync();
        await pinging.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
        var faults = copying.Where(c => c.IsFaulted).Select(c => c.Exception!.InnerException!).ToList();
        if (faults.Find(static f => f is not OperationCanceledException) is { } fault) throw fault as ReplicationException ?? new ReplicationException(ReplicationErrorKind.Transient, $"Copying from node '{donor}' failed: {fault.Message}", fault);
        cancellationToken.ThrowIfCancellationRequested();
        return snapshot;
    }

    /// <summary>The donor gives a connection up on which nothing comes, and with it the snapshot.</summary>
    private async Task PingAsync(FrameConnection frames, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(context.ReadTimeout / 4, context.TimeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            await frames.WriteAsync(new PingFrame(), cancellationToken);
            await frames.FlushAsync(cancellationToken);
        }
    }

    private async Task CopyAsync(PeerAddresses address, SnapshotFrame snapshot, ConcurrentQueue<TableToCopy> tables, CancellationTokenSource over)
    {
        try
        {
            while (tables.TryDequeue(out var table)) await CopyAsync(address, snapshot, table, over.Token);
        }
        catch
        {
            // The others' copies are of no use then.
            await over.CancelAsync();
            throw;
        }
    }

    private async Task CopyAsync(PeerAddresses address, SnapshotFrame snapshot, TableToCopy table, CancellationToken cancellationToken)
    {
        await using var session = await context.Database.OpenCopySessionAsync(cancellationToken);
        var local = await session.FindTableAsync(table.Relation, cancellationToken)
            ?? throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"Table {table.Relation.Name} of node '{donor}' does not exist here. Create it, as all tables, before the node joins (pg_dump --schema-only).");
        if (table.Relation.Columns.FirstOrDefault(c => local.OrdinalOf(c.Name) < 0) is { } missing)
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"Column {missing.Name} ({missing.TypeName}) of table {table.Relation.Name} on node '{donor}' does not exist here. Add it.");

        // One for each table: a commit here may take longer than the donor waits for a word.
        await using var frames = await DialAsync(address, HelloPurpose.Copy, cancellationToken);
        await RequestAsync(frames, snapshot.Id, cancellationToken);
        await frames.WriteAsync(new CopyRequestFrame(table.Relation.Name), cancellationToken);
        await frames.FlushAsync(cancellationToken);
        var reader = new CopiedTableReader(frames, donor);
        await session.BeginAsync(cancellationToken);
        var rows = await session.CopyAsync(local, [.. table.Relation.Columns.Select(c => c.Name)], progress.CountAsync(reader.ReadRowsAsync(cancellationToken), cancellationToken), cancellationToken);
        while (await reader.ReadKeysAsync(cancellationToken) is { } keys)
        {
            if (!Safeguards.IsOff(Safeguard.CopyVersions)) await session.ExecuteAsync(CopiedKeys.Plan(local, keys), cancellationToken);
        }

        await session.CommitAsync(cancellationToken);
        progress.Copied(rows);
    }

    private async ValueTask<SnapshotFrame> RequestAsync(FrameConnection frames, Guid id, CancellationToken cancellationToken)
    {
        await frames.WriteAsync(new SnapshotRequestFrame(id), cancellationToken);
        await frames.FlushAsync(cancellationToken);
        return await CopiedTableReader.ReadAsync(frames, donor, cancellationToken) as SnapshotFrame
            ?? throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Node '{donor}' did not answer with a snapshot.");
    }

    private async ValueTask<FrameConnection> DialAsync(PeerAddresses peer, HelloPurpose purpose, CancellationToken cancellationToken) =>
        (await DialAsync(peer, peer.Name, default, purpose, cancellationToken)).Frames;

    private ValueTask<(FrameConnection Frames, WelcomeFrame Welcome)> DialAsync(PeerAddresses peer, NodeName origin, NpgsqlLogSequenceNumber position, HelloPurpose purpose, CancellationToken cancellationToken) => peer.DialAsync(async address =>
    {
        var connection = await context.Transport.ConnectAsync(address, cancellationToken);
        var frames = new FrameConnection(connection, $"Node '{peer.Name}'", context.MaxFrameBytes, context.ReadTimeout, context.TimeProvider);
        try
        {
            var welcome = await PeerGreeting.GreetAsync(frames, handshake, handshake.Hello(peer.Name, origin, position, purpose, takesCompressed: false), cancellationToken);
            return (frames, welcome);
        }
        catch
        {
            frames.Abort();
            await frames.DisposeAsync();
            throw;
        }
    });

    [LoggerMessage(EventId = 3045, Level = LogLevel.Information, Message = "AA3045: node '{Node}' joins the cluster and copies {Tables} tables from node '{Donor}', as they were after {Copied}")]
    private partial void LogCopying(NodeName node, NodeName donor, int tables, DependencyVector copied);

    [LoggerMessage(EventId = 3046, Level = LogLevel.Information, Message = "AA3046: node '{Node}' has joined the cluster with {Rows} rows and goes on after {Copied}")]
    private partial void LogJoined(NodeName node, long rows, DependencyVector copied);
}
