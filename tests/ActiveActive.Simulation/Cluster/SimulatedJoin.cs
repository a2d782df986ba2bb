using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Membership;
using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>How a node that comes later, or comes back, becomes a member: what <see cref="NodeJoin"/> and <see cref="SnapshotFeed"/> do, without the frames between them. What breaks off is begun anew.</summary>
internal sealed class SimulatedJoin(SimulatedNode late, SimulatedCluster cluster)
{
    private readonly EventLoop _loop = cluster.Loop;

    public async Task RunAsync()
    {
        await _loop.Delay(_loop.Random.Between(0, 50_000));
        while (true)
        {
            try
            {
                await TryAsync();
                late.Start();
                return;
            }
            catch (ReplicationException e)
            {
                cluster.Trace.Say(TraceEvent.Fault, late.Index, () => $"! join breaks off: {e.Message}");
                if (e.Kind != ReplicationErrorKind.Transient) cluster.Findings.Violation($"the join of {late.Name} failed: {e}");
            }
            catch (OperationCanceledException)
            {
                // The life of a member that was asked is over.
            }

            await _loop.Delay(_loop.Random.Between(100, 5000));
        }
    }

    private async Task TryAsync()
    {
        var members = cluster.Nodes.Where(n => n != late).ToList();
        var donor = _loop.Random.Pick(late.IsLate ? members.Where(m => cluster.Options.Donors.Contains(m.Index)).ToList() : members);
        if (late.IsAway)
        {
            late.IsResyncing = true;
            late.Life?.End();
            await late.Database.BeginResyncAsync(donor.Name, default);
            foreach (var member in members) await AskAsync(member);
            if (await late.Database.FindCheckpointAsync(default) is { } checkpoint)
            {
                // All of them have the same of it by now.
                var reach = (await donor.Database.ReadMembersAsync(default)).Single(m => m.Name == late.Name).Reach;
                await new UnsentWrites(late.Name, late.Database, donor.Name).GiveUpAsync(checkpoint, reach, default);
                cluster.Trace.Say(TraceEvent.Fault, late.Index, () => "! has given its data up");
                await new GivenUp(cluster).CheckAsync(late);
            }
        }

        await late.Database.BeginJoinAsync(default);
        foreach (var member in members) await AskAsync(member);
        var life = LifeOf(donor);
        cluster.Trace.Say(TraceEvent.Fault, late.Index, () => $"! copies from {donor.Name}");
        await using var snapshot = await life.Database.OpenSnapshotAsync(life.Ended);
        var (copied, stamp) = await life.Capture!.ReadAppliedBeforeAsync(snapshot.Position, life.Ended);
        var oldest = life.Capture.Index.OldestXid;
        foreach (var table in SnapshotFeed.TablesFor(cluster.Routes, late.Name, await snapshot.ReadTablesAsync(life.Ended)))
        {
            if (!cluster.Options.Holds(late.Index, SimulatedTables.IndexOf(table.Table.Name.Name)))
            {
                cluster.Findings.Violation($"node {donor.Name} copied {table.Table.Name} to {late.Name}, which does not hold it");
                return;
            }

            await life.Database.PauseAsync();
            await CopyAsync(life, snapshot, table, oldest);
        }

        if (cluster.Options.Crashes && !cluster.IsHealed && _loop.Random.Chance(20)) throw new ReplicationException(ReplicationErrorKind.Transient, "The joining host crashes.");
        await using (var session = await late.Database.OpenCopySessionAsync(default)) await new ApplyClock(late.Clock).WaitUntilPastAsync(stamp, session.ReadServerTimeAsync, life.Ended);
        // One step: what is visible from now on is what was copied.
        var ending = late.Database.EndJoinAsync(copied, stamp, [.. cluster.Nodes.Select(n => new Member(n.Name, MemberState.Joined))], default);
        if (!ending.IsCompletedSuccessfully) await ending;
        var had = copied.Select(c => (late.IndexOf(c.Key), (ulong)c.Value));
        if (late.IsAway) late.Return(had);
        else
        {
            late.HasJoined = true;
            cluster.History.Join(late.Index, had);
        }

        cluster.Trace.Say(TraceEvent.Fault, late.Index, () => $"! has joined after {copied}");
    }

    private async Task AskAsync(SimulatedNode member)
    {
        var life = LifeOf(member);
        await life.Database.PauseAsync();
        if (life.Partings.ContainsKey(late.Name)) throw new ReplicationException(ReplicationErrorKind.Transient, $"{member.Name} still parts {late.Name}.");
        if (life.Members.Contains(late.Name)) return;
        await life.Database.SaveMembersAsync([new Member(late.Name, MemberState.Joining) { Reach = life.Parted.GetValueOrDefault(late.Name) }], life.Ended);
        cluster.Trace.Say(TraceEvent.Fault, member.Index, () => $"! adds {late.Name} to its members");
        life.End();
        member.StartLater();
        throw new ReplicationException(ReplicationErrorKind.Transient, $"{member.Name} starts again with {late.Name}.");
    }

    private async Task CopyAsync(NodeLife life, IDataSnapshot snapshot, SnapshotTable table, uint oldest)
    {
        await using var session = await late.Database.OpenCopySessionAsync(default);
        var local = (await session.FindTableAsync(new Relation(table.Table.Name, table.Table.Name, []), default))!;
        await session.BeginAsync(default);
        await session.CopyAsync(local, [.. table.Table.Columns.Select(c => c.Name)], snapshot.ReadRowsAsync(table, life.Ended), life.Ended);
        var keys = new List<CopiedKey>();
        await foreach (var key in snapshot.ReadKeysAsync(table, oldest, life.Ended))
        {
            if (CopiedKeys.Of(table.Table, key, life.Capture!.Index) is { } told) keys.Add(told);
        }

        await life.Database.PauseAsync();
        await foreach (var tombstone in snapshot.ReadTombstonesAsync(table, life.Ended)) keys.Add(CopiedKeys.Of(table.Table, tombstone));
        if (!Safeguards.IsOff(Safeguard.CopyVersions)) await session.ExecuteAsync(CopiedKeys.Plan(local, keys), default);
        await session.CommitAsync(default);
    }

    private static NodeLife LifeOf(SimulatedNode member) => member.Life is { IsOver: false, Capture: not null } life ? life
        : throw new ReplicationException(ReplicationErrorKind.Transient, $"{member.Name} is not there.");
}
