using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Is the server set up for logical decoding and commit timestamps, with room for the node?</summary>
internal static class ServerCheck
{
    public const int OldestVersion = 150000;

    private const string Restart = "then restart the server.";

    public static SetUpProblem TooOld(int version) => new(ServerTooOld,
        $"The server is PostgreSQL {version / 10000}.{version % 10000}; 15 is the oldest that works (nothing else was checked).",
        "Upgrade the server to PostgreSQL 15 to 18.");

    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        var server = facts.Server;
        if (server.IsInRecovery)
        {
            yield return new(Standby, $"The server of database {server.Database} is a standby (in recovery): it takes no writes.",
                "Connect to the primary (Target Session Attributes=read-write with all hosts), or promote this server.");
        }

        if (server.WalLevel != "logical")
        {
            yield return new(WalLevel, $"wal_level is {server.WalLevel}: the WAL does not hold what logical decoding needs.",
                $"ALTER SYSTEM SET wal_level = 'logical'; {Restart}");
        }

        if (!server.TracksCommitTimestamps)
        {
            yield return new(CommitTimestamps, "track_commit_timestamp is off: rows have no versions to compare.",
                $"ALTER SYSTEM SET track_commit_timestamp = on; {Restart}");
        }

        foreach (var problem in FindNoRoom(facts)) yield return problem;
        if (server.Encoding == "SQL_ASCII")
        {
            yield return new(SetUpCodes.Encoding,
                $"Database {server.Database} has the encoding SQL_ASCII: the server does not know what its bytes above 127 mean, so they can't be sent to another node unharmed.",
                "Dump the database and restore it into one created WITH ENCODING 'UTF8' TEMPLATE template0.");
        }

        if (server.IsReadOnlyByDefault)
        {
            yield return new(ReadOnly, $"default_transaction_read_only is on for role {facts.Role.Name} in database {server.Database}.",
                $"ALTER ROLE {PostgresNames.Quote(facts.Role.Name)} SET default_transaction_read_only = off; and see whether it is on for the database or the server.");
        }

        if (server.ReplicationRefusal is { } refusal)
        {
            yield return new(ReplicationConnection, $"The server refuses a replication connection to database {server.Database} as {facts.Role.Name}: {refusal}",
                "Allow the role and database in pg_hba.conf, and connect to the server itself: a connection pooler can't pass replication on.");
        }
    }

    private static IEnumerable<SetUpProblem> FindNoRoom(SetUpFacts facts)
    {
        var (server, node) = (facts.Server, facts.Node);
        // One slot for the node, and one for a copy that serves a peer which fell behind.
        var slots = server.ReplicationSlots + (node.Slot is null ? 1 : 0) + (node.HasCatchUpSlot ? 0 : 1);
        if (slots > server.MaxReplicationSlots)
        {
            yield return new(ReplicationSlots,
                $"max_replication_slots is {server.MaxReplicationSlots} and {server.ReplicationSlots} are taken; the node needs one for itself and one for a peer that falls behind.",
                $"ALTER SYSTEM SET max_replication_slots = {slots}; {Restart} Or drop a slot that nobody uses (pg_replication_slots).");
        }

        // The node's own sender may be running (another instance of the application leads): it is counted already.
        var senders = server.WalSenders + (node.Slot?.ActivePid is null ? 1 : 0) + 1;
        if (senders > server.MaxWalSenders)
        {
            yield return new(WalSenders,
                $"max_wal_senders is {server.MaxWalSenders} and {server.WalSenders} are taken; the node needs one for itself and one for a peer that falls behind.",
                $"ALTER SYSTEM SET max_wal_senders = {senders}; {Restart}");
        }

        var origins = server.ReplicationOrigins + facts.Options.Peers.Append(facts.Options.Node).Except(node.Origins).Count();
        if (origins > server.MaxReplicationOrigins)
        {
            var setting = server.Version >= 180000 ? "max_active_replication_origins" : "max_replication_slots";
            yield return new(ReplicationOrigins,
                $"{setting} is {server.MaxReplicationOrigins} and {server.ReplicationOrigins} replication origins exist; the node and each peer need one.",
                $"ALTER SYSTEM SET {setting} = {origins}; {Restart} Or drop origins that nobody uses (pg_replication_origin).");
        }
    }
}
