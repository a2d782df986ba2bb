using NpgsqlTypes;
using static ActiveActive.Database.Postgres.PostgresNames;
using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>
/// Is this still the database that the node was set up in, with everything that capture and apply rely on? A copy, a restored
/// backup or a lost slot is refused by name: going on would lose changes without a word.
/// </summary>
internal static class StateCheck
{
    private const string StartAfresh =
        "If this database is to be a new node, run DROP SCHEMA active_active CASCADE; and DROP PUBLICATION IF EXISTS active_active; here, give it a name of its own and resync it.";

    private const string AfterResync =
        "Resync the nodes by hand (compare and copy the replicated tables), then run DELETE FROM active_active.checkpoint; and start again.";

    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        var node = facts.Node;
        if (facts.Options.Peers.Contains(facts.Options.Node))
        {
            yield return new(PeerIsSelf, $"A peer has the node's own name, {facts.Options.Node}.", "Give every node of the cluster a name of its own.");
        }

        if (node.SchemaStep > PostgresSchema.Steps.Count)
        {
            yield return new(NewerSchema, $"The schema {Schema} is at step {node.SchemaStep}; this version of the library knows {PostgresSchema.Steps.Count}.",
                "Update the application's ActiveActive package to the version that ran here last, or a later one.");
            yield break;
        }

        foreach (var problem in FindInIdentity(facts)) yield return problem;
        foreach (var problem in FindInSlot(facts)) yield return problem;
        foreach (var problem in FindInPublication(node)) yield return problem;
        foreach (var problem in FindLostOrigins(facts)) yield return problem;
    }

    private static IEnumerable<SetUpProblem> FindInIdentity(SetUpFacts facts)
    {
        var (server, node) = (facts.Server, facts.Node);
        if (node.Local is not { } local) yield break;
        if (local.Name != facts.Options.Node.Value)
        {
            yield return new(OtherNode, $"Database {server.Database} belongs to node {local.Name}, not to {facts.Options.Node}.",
                $"Set the node's name to '{local.Name}', or connect to the right database. {StartAfresh}");
        }

        if (local.SystemIdentifier != server.SystemIdentifier || local.DatabaseOid != server.DatabaseOid)
        {
            yield return new(OtherDatabase,
                $"Node {local.Name} was set up in database {local.DatabaseOid} of server {local.SystemIdentifier}; this is database {server.DatabaseOid} of server {server.SystemIdentifier}: a copy, a restored backup or an upgraded server. Its log is not the one that peers know.",
                StartAfresh);
            yield break;
        }

        if (server.IsInRecovery) yield break;
        if (local.Timeline != server.Timeline)
        {
            yield return new(OtherTimeline,
                $"Node {local.Name} was set up on WAL timeline {local.Timeline}; the server is on {server.Timeline}: it was promoted or restored to a point in time, and may lack transactions that peers have received.",
                $"Make sure that the server lacks nothing that it sent, then run UPDATE active_active.node SET timeline = {server.Timeline} WHERE is_local; and start again. {StartAfresh}");
        }

        if (node.Checkpoint is { } checkpoint && server.WalPosition < checkpoint.Position)
        {
            yield return new(Rewound,
                $"Node {local.Name} has captured up to {checkpoint.Position}, but the server's WAL ends at {server.WalPosition}: the server was reset to an earlier state.",
                StartAfresh);
        }
    }

    private static IEnumerable<SetUpProblem> FindInSlot(SetUpFacts facts)
    {
        var (server, node) = (facts.Server, facts.Node);
        var name = Slot(server.DatabaseOid);
        if (node.Slot is { } slot && (slot.Database != server.Database || slot.Plugin != "pgoutput" || slot.IsTemporary))
        {
            yield return new(SlotNotOurs,
                $"Replication slot {slot.Name} belongs to {(slot.Database is null ? "physical replication" : $"database {slot.Database}, plugin {slot.Plugin}")}{(slot.IsTemporary ? ", temporary" : "")}; the node needs that name.",
                $"SELECT pg_drop_replication_slot('{slot.Name}'); if nobody uses it.");
            yield break;
        }

        // Without a checkpoint nothing relies on the slot yet; and in a copy the slot is not the worst that is missing.
        if (node.Checkpoint is not { } checkpoint || node.Local?.DatabaseOid != server.DatabaseOid) yield break;
        if (node.Slot is null || node.Slot.IsLost)
        {
            yield return new(SlotLost,
                $"Replication slot {name} {(node.Slot is null ? "is gone" : "is invalidated, the WAL it needs was removed")}, but capture was at {checkpoint.Position}: changes since then may not have been captured.",
                node.Slot is null ? AfterResync : $"{AfterResync} Raise max_slot_wal_keep_size.");
        }
        else if (node.Slot.ConfirmedFlush > checkpoint.Position)
        {
            yield return new(SlotAhead,
                $"Replication slot {name} is confirmed up to {node.Slot.ConfirmedFlush}, past what capture has saved ({checkpoint.Position}): somebody else read or advanced it, and changes in between are lost.",
                AfterResync);
        }
    }

    private static IEnumerable<SetUpProblem> FindInPublication(NodeFacts node)
    {
        if (node.Publication is { ForAllTables: true })
        {
            yield return new(PublicationForAll, $"Publication {Publication} is FOR ALL TABLES, which set-up did not create and can't change.",
                $"DROP PUBLICATION {Publication}; set-up creates it anew.");
        }
        else if (node is { Publication: null, Checkpoint: { } checkpoint, Slot: not null })
        {
            yield return new(PublicationLost, $"Publication {Publication} was dropped, but capture was at {checkpoint.Position}: changes since then may not have been captured.",
                AfterResync);
        }
    }

    private static IEnumerable<SetUpProblem> FindLostOrigins(SetUpFacts facts)
    {
        if (facts.Node.Checkpoint is not { } checkpoint || facts.Node.Local?.DatabaseOid != facts.Server.DatabaseOid) yield break;
        foreach (var peer in facts.Options.Peers.Except(facts.Node.Origins).Where(p => checkpoint.Origins.Contains(p.Value)))
        {
            yield return new(OriginLost,
                $"Replication origin {Origin(facts.Server.DatabaseOid, peer)} was dropped, but transactions of {peer} were applied: how far is not known any more, and they would be applied a second time.",
                $"Resync with {peer} by hand, then run UPDATE active_active.checkpoint SET applied = applied - '{peer}'; and start again.");
        }
    }
}
