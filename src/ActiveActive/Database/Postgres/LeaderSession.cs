using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Leads by a session-level advisory lock, on a connection of its own
/// (<see href="https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS">Advisory Locks</see>). The leader says something on it several times in
/// <c>idle_session_timeout</c>; where it does not (frozen, or its network is lost), the server itself ends the session, and the lock is free.
/// </summary>
/// <remarks>
/// A standby asks for the lock again and again. A wait inside <c>pg_advisory_lock</c> would hold a snapshot for days, so that nothing could be vacuumed, and the lock would go
/// to waiting sessions whose instances are dead or frozen, too (ADR 34).
/// </remarks>
internal sealed class LeaderSession : ILeaderLease
{
    private static readonly TimeSpan s_tryInterval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_sweepInterval = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan s_sweepLimit = TimeSpan.FromSeconds(10);

    // How often a standby says anew who leads, in tries.
    private const int TriesPerLook = 10;

    private const string HoldersSql =
        """
        FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND l.classid::bigint = $1 >> 32 & 4294967295 AND l.objid::bigint = $1 & 4294967295 AND l.objsubid = 1 AND l.granted
        """;

    private const string LeaderSql =
        $"SELECT a.application_name, host(a.client_addr) FROM pg_catalog.pg_stat_activity a WHERE a.pid IN (SELECT l.pid {HoldersSql})";

    private const string HeldSql = $"SELECT EXISTS (SELECT {HoldersSql} AND l.pid = $2)";

    private const string IsSetUpSql =
        """
        SELECT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'active_active' AND c.relname = 'node' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
        """;

    // Other roles' sessions can't be ended, and are kept out by slot and origins. A standby's own reads are let be: its instance has a session that waits.
    private const string SweepSql =
        $"""
        SELECT count(pg_catalog.pg_terminate_backend(a.pid))
        FROM pg_catalog.pg_stat_activity a
        WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
        AND (a.application_name IN ('{InstanceName.ApplyApplication}', '{InstanceName.CaptureApplication}')
            OR a.application_name ~ '^active_active [0-9a-f]+$' AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_stat_activity i
                WHERE i.datname = a.datname AND i.pid <> pg_backend_pid() AND starts_with(i.application_name, '{InstanceName.LeasePrefix}' || right(a.application_name, 8) || ' ')))
        AND EXISTS (SELECT FROM active_active.node n WHERE n.is_local AND n.name = $1)
        """;

    private readonly NpgsqlConnection _connection;
    private readonly NodeName _node;
    private readonly long _key;
    private readonly TimeSpan _timeout;
    private readonly CancellationTokenSource _closing = new();
    private readonly CancellationTokenSource _lost = new();
    private int _pid;
    private Task? _keeping;

    private LeaderSession(NpgsqlConnection connection, NodeName node, TimeSpan timeout)
    {
        _connection = connection;
        _node = node;
        _key = KeyOf(node);
        _timeout = timeout;
    }

    public CancellationToken Lost => _lost.Token;

    public ReplicationException? Reason { get; private set; }

    /// <summary>Half of the server's patience: who is not answered by then is not the leader any more, before the server can give the lock to another.</summary>
    private TimeSpan AnswerLimit => _timeout / 2;

    private TimeSpan KeepInterval => _timeout / 10;

    /// <exception cref="ReplicationException">The database can't be reached, or ends the session; Misconfigured behind a pooler that changes sessions.</exception>
    public static async ValueTask<LeaderSession> OpenAsync(PostgresDatabaseOptions options, Action<string?> standsBy, CancellationToken cancellationToken)
    {
        var session = new LeaderSession(new NpgsqlConnection(PostgresConnections.ForLease(options.ConnectionString, options.Instance)), options.Node, options.LeaderTimeout);
        try
        {
            await session.ConnectAsync(options, cancellationToken);
            for (var tries = 0; !await session.TryLockAsync(cancellationToken); tries++)
            {
                if (tries % TriesPerLook == 0) standsBy(await session.ReadLeaderAsync(cancellationToken));
                await Task.Delay(s_tryInterval, cancellationToken);
            }

            await session.SweepAsync(cancellationToken);
            session._keeping = session.KeepAsync();
            return session;
        }
        catch (Exception e)
        {
            await session.DisposeAsync();
            if (e is OperationCanceledException && cancellationToken.IsCancellationRequested) throw;
            throw PostgresErrors.Translate(e is OperationCanceledException ? new TimeoutException("The server did not answer in time.", e) : e, $"standing by to lead node {options.Node}");
        }
    }

    /// <summary>Which instance leads a node, over another session; null where none does.</summary>
    public static async Task<Leader?> FindLeaderAsync(NpgsqlConnection session, NodeName node, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LeaderSql, session) { Parameters = { SqlParameters.Number(KeyOf(node)) } };
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return null;
        var application = reader.GetString(0);
        return new Leader(InstanceName.IdIn(application), InstanceName.PlaceIn(application), reader.IsDBNull(1) ? null : reader.GetString(1));
    }

    /// <summary>Asks the server, over another session.</summary>
    /// <exception cref="ReplicationException">InUse: the lock is gone.</exception>
    public async ValueTask EnsureHeldAsync(NpgsqlConnection session, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(HeldSql, session) { Parameters = { SqlParameters.Number(_key), new NpgsqlParameter { Value = _pid } } };
        if (await command.ExecuteScalarAsync(cancellationToken) is not true) throw LostLead("its session has ended in the server");
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        if (_keeping is not null) await _keeping;
        await _connection.DisposeAsync();
        _closing.Dispose();
        _lost.Dispose();
    }

    // Per database are advisory locks themselves. A misnamed node must not stand by for another, but be told.
    private static long KeyOf(NodeName node) => BinaryPrimitives.ReadInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"active_active leads {node.Value}")));

    private async Task ConnectAsync(PostgresDatabaseOptions options, CancellationToken cancellationToken)
    {
        try
        {
            await _connection.OpenAsync(cancellationToken);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException)
        {
            throw PostgresErrors.TranslateConnecting(e, options);
        }

        // Not at start-up: a server that is too old for us does not know it, and set-up says so.
        if (_connection.PostgreSqlVersion.Major < 14) return;
        await using var command = new NpgsqlCommand($"SET idle_session_timeout = {(long)_timeout.TotalMilliseconds}", _connection);
        using var patience = Patience(cancellationToken);
        await command.ExecuteNonQueryAsync(patience.Token);
    }

    private async Task<bool> TryLockAsync(CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT pg_catalog.pg_try_advisory_lock($1), pg_backend_pid()", _connection) { Parameters = { SqlParameters.Number(_key) } };
        using var patience = Patience(cancellationToken);
        await using var reader = await command.ExecuteReaderAsync(patience.Token);
        await reader.ReadAsync(patience.Token);
        RequireSameSession(reader.GetInt32(1));
        return reader.GetBoolean(0);
    }

    private async Task<string?> ReadLeaderAsync(CancellationToken cancellationToken)
    {
        using var patience = Patience(cancellationToken);
        return (await FindLeaderAsync(_connection, _node, patience.Token))?.ToString();
    }

    /// <summary>
    /// Ends what an earlier leader has left in the server: a frozen one that wakes, or one behind a lost network, can do nothing with it any more. Whoever led has lost the lock,
    /// so none of it belongs to a leader that lives.
    /// </summary>
    private async Task SweepAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(s_sweepLimit);
        try
        {
            await using (var look = new NpgsqlCommand(IsSetUpSql, _connection))
            {
                // There is nothing to end before the first set-up; and where the tables are another role's, set-up says so.
                if (await look.ExecuteScalarAsync(patience.Token) is not true) return;
            }

            await using var command = new NpgsqlCommand(SweepSql, _connection) { Parameters = { SqlParameters.Text(_node.Value) } };
            while ((long)(await command.ExecuteScalarAsync(patience.Token))! > 0) await Task.Delay(s_sweepInterval, patience.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ReplicationException(ReplicationErrorKind.InUse,
                $"Sessions of an instance that led node {_node} before did not end within {s_sweepLimit.TotalSeconds} s of pg_terminate_backend. See pg_stat_activity, application_name 'active_active …'.");
        }
    }

    private async Task KeepAsync()
    {
        try
        {
            while (true)
            {
                await Task.Delay(KeepInterval, _closing.Token);
                // Not cancelled by closing: a session that is left in the middle of an answer looks like one that was lost.
                await using var command = new NpgsqlCommand("SELECT pg_backend_pid()", _connection);
                using var patience = Patience(CancellationToken.None);
                RequireSameSession((int)(await command.ExecuteScalarAsync(patience.Token))!);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            Reason = e as ReplicationException ?? LostLead(e is OperationCanceledException ? $"the server has not answered for {AnswerLimit.TotalSeconds} s" : e.Message, e);
            await _lost.CancelAsync();
        }
    }

    private CancellationTokenSource Patience(CancellationToken cancellationToken)
    {
        var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(AnswerLimit);
        return patience;
    }

    private void RequireSameSession(int pid)
    {
        if (_pid == 0) _pid = pid;
        if (_pid == pid) return;
        throw new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"The session by which an instance leads node {_node} changed from server process {_pid} to {pid}: a pooler in between gives each transaction another one, and no lock can be held. Connect the node to the server itself (AA1010).");
    }

    private ReplicationException LostLead(string why, Exception? cause = null) =>
        new(ReplicationErrorKind.InUse, $"This instance does not lead node {_node} any more: {why}. Another instance may lead; this one stands by.", cause);
}

/// <summary>An instance that leads, as the server shows its session.</summary>
/// <param name="Instance">See <see cref="InstanceName.Id"/>.</param>
/// <param name="Place">The machine's name and the process id.</param>
/// <param name="Address">Where it connects from; null for a local socket.</param>
internal sealed record Leader(string Instance, string Place, string? Address)
{
    public override string ToString() => Address is null ? Place : $"{Place} at {Address}";
}
