using System.Globalization;
using System.Text.Json.Nodes;
using ActiveActive.Database.Postgres;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.CommandLine;

/// <summary>A session in a node's database: what stands there of the node, and how the instance that leads is asked for something.</summary>
internal sealed class NodeSession : IAsyncDisposable
{
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_leaderInterval = TimeSpan.FromSeconds(1);

    private const string SlotSql =
        """
        SELECT json_build_object('name', s.slot_name, 'isActive', s.active, 'walStatus', s.wal_status, 'restartPosition', s.restart_lsn, 'confirmedPosition', s.confirmed_flush_lsn,
            'retainedBytes', pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint, 'safeWalBytes', s.safe_wal_size)::text
        FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_database d ON s.slot_name = 'active_active_' || d.oid WHERE d.datname = current_database()
        """;

    private const string CountsSql =
        """
        SELECT json_build_object('serverVersion', current_setting('server_version'), 'checkpointPosition', (SELECT position FROM active_active.checkpoint),
            'quarantined', (SELECT count(*) FROM active_active.quarantine),
            'conflictsLastDay', (SELECT count(*) FROM active_active.conflict WHERE recorded_at > now() - interval '1 day'))::text
        """;

    private const string ReportSql = "SELECT instance, reported_at, content::text, extract(epoch FROM clock_timestamp() - reported_at)::float8 FROM active_active.report";

    private const string AskSql =
        "INSERT INTO active_active.command (verb, arguments, valid_until) VALUES ($1, $2::jsonb, clock_timestamp() + $3 * interval '1 second') RETURNING id";

    private const string OutcomeSql = "SELECT state, result::text, code, error, taken_by, valid_until < clock_timestamp() FROM active_active.command WHERE id = $1";

    private const string WithdrawSql = "UPDATE active_active.command SET state = 'withdrawn', ended_at = clock_timestamp() WHERE id = $1 AND state = 'asked'";

    private readonly NpgsqlConnection _connection;

    private NodeSession(NpgsqlConnection connection, NodeName node)
    {
        _connection = connection;
        Node = node;
    }

    /// <summary>The node that lives in the database.</summary>
    public NodeName Node { get; }

    private string Place => $"database {_connection.Database} at {_connection.Host}:{_connection.Port}";

    /// <exception cref="ToolException">The database can't be reached, or has no node.</exception>
    public static async Task<NodeSession> OpenAsync(NodeTarget target, CancellationToken cancellationToken)
    {
        var session = await FindAsync(target, cancellationToken);
        return session.Node != default ? session : throw await session.NoNodeAsync();
    }

    /// <summary>The same where the database need not be a node's yet.</summary>
    /// <exception cref="ToolException">The database can't be reached.</exception>
    public static async Task<NodeSession> FindAsync(NodeTarget target, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(target.ConnectionString) { ApplicationName = "aa", Pooling = false, IncludeErrorDetail = false }.ConnectionString);
        try
        {
            await connection.OpenAsync(cancellationToken);
            var session = new NodeSession(connection, default);
            var name = await session.ScalarAsync("SELECT to_regclass('active_active.command') IS NOT NULL AND to_regclass('active_active.node') IS NOT NULL", cancellationToken) is true
                ? await session.ScalarAsync("SELECT name FROM active_active.node WHERE is_local", cancellationToken) as string : null;
            return name is null ? session : new NodeSession(connection, new NodeName(name));
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException or ArgumentException)
        {
            await connection.DisposeAsync();
            var to = new NpgsqlConnectionStringBuilder(target.ConnectionString);
            throw new ToolException("AA6002", $"Database {to.Database} at {to.Host}:{to.Port} can't be used as {to.Username}: {e.Message}", ExitCodes.Unreachable);
        }
    }

    public Task<Leader?> FindLeaderAsync(CancellationToken cancellationToken) => LeaderSession.FindLeaderAsync(_connection, Node, cancellationToken);

    /// <summary>The last report; null where there is none yet.</summary>
    public async Task<Report?> ReadReportAsync(CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ReportSql, _connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new Report(reader.GetString(0), reader.GetFieldValue<DateTimeOffset>(1), TimeSpan.FromSeconds(reader.GetDouble(3)), (JsonObject)JsonNode.Parse(reader.GetString(2))!)
            : null;
    }

    /// <summary>What the catalogs and the node's tables say now; the slot is null where there is none.</summary>
    public async Task<(JsonNode? Slot, JsonObject Counts)> ReadCatalogsAsync(CancellationToken cancellationToken)
    {
        var slot = await ScalarAsync(SlotSql, cancellationToken) as string;
        return (slot is null ? null : JsonNode.Parse(slot), (JsonObject)JsonNode.Parse((string)(await ScalarAsync(CountsSql, cancellationToken))!)!);
    }

    /// <summary>What the database knows of the options of its node.</summary>
    public async Task<(IReadOnlyList<NodeName> Peers, IReadOnlyList<string> Tables)> ReadKnownOptionsAsync(CancellationToken cancellationToken)
    {
        var peers = await ScalarAsync("SELECT ARRAY(SELECT name FROM active_active.member WHERE name <> (SELECT name FROM active_active.node WHERE is_local) ORDER BY name COLLATE \"C\")", cancellationToken);
        var tables = await ScalarAsync("SELECT ARRAY(SELECT schemaname || '.' || tablename FROM pg_catalog.pg_publication_tables WHERE pubname = 'active_active' AND schemaname <> 'active_active' ORDER BY 1)", cancellationToken);
        return ([.. ((string[])peers!).Select(static name => new NodeName(name))], (string[])tables!);
    }

    /// <summary>Asks the instance that leads, and waits until it has done it.</summary>
    /// <param name="verb">See <see cref="Commands.NodeVerbs"/>.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="patience">How long to wait until it is taken up.</param>
    /// <param name="cancellationToken">Ends the wait; what was taken up goes on.</param>
    /// <exception cref="ToolException">No instance leads, or it could not do it.</exception>
    public async Task<JsonNode?> AskAsync(string verb, JsonObject arguments, TimeSpan patience, CancellationToken cancellationToken)
    {
        if (await FindLeaderAsync(cancellationToken) is null) throw await NotLedAsync(cancellationToken);
        var id = (long)(await ScalarAsync(AskSql, cancellationToken, Text(verb), Text(arguments.ToJsonString()), new NpgsqlParameter { Value = patience.TotalSeconds }))!;
        try
        {
            return await WaitAsync(id, verb, patience, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            await WithdrawAsync(id);
            throw;
        }
    }

    /// <exception cref="ToolException">Always.</exception>
    public async Task<ToolException> NotLedAsync(CancellationToken cancellationToken)
    {
        var last = await ReadReportAsync(cancellationToken);
        return new ToolException("AA6004", $"No instance leads node '{Node}' in {Place}: start the application, or see its log.{(last is null ? "" : $" The last one ({Texts.Text(last.Content, "instance")}) reported {Age(last.Age)} ago: {Texts.Text(last.Content, "state")}. {Texts.Text(last.Content, "message")}")}".TrimEnd(), ExitCodes.NotLed);
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private async Task<JsonNode?> WaitAsync(long id, string verb, TimeSpan patience, CancellationToken cancellationToken)
    {
        for (var polls = 1; ; polls++)
        {
            await Task.Delay(s_pollInterval, cancellationToken);
            var (state, result, code, error, takenBy, isLate) = await ReadOutcomeAsync(id, cancellationToken);
            switch (state)
            {
                case "done": return result is null ? null : JsonNode.Parse(result);
                case "failed": throw new ToolException(code ?? "AA6008", error ?? "The node did not say why.", ExitCodes.Failed);
                case "asked" when isLate && await WithdrawAsync(id):
                    throw new ToolException("AA6005", $"The instance that leads node '{Node}' has not taken up '{verb}' within {Texts.Seconds(patience.TotalSeconds)}. Nothing was done. See its log, or allow more time with --timeout.", ExitCodes.TimedOut);
            }

            if (polls % (int)(s_leaderInterval / s_pollInterval) != 0) continue;
            var leader = await FindLeaderAsync(cancellationToken);
            if (state == "asked" && leader is null && await WithdrawAsync(id)) throw await NotLedAsync(cancellationToken);
            if (state == "running" && leader?.Instance != takenBy && (await ReadOutcomeAsync(id, cancellationToken)).State == "running" && leader is null)
                throw new ToolException("AA6006", $"The instance that led node '{Node}' and had taken up '{verb}' leads no more: whether it was done is not known. See aa status.", ExitCodes.NotLed);
        }
    }

    private async Task<(string State, string? Result, string? Code, string? Error, string? TakenBy, bool IsLate)> ReadOutcomeAsync(long id, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(OutcomeSql, _connection) { Parameters = { new() { Value = id } } };
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return ("failed", null, "AA6006", "The command is gone from active_active.command.", null, false);
        return (reader.GetString(0), TextOf(1), TextOf(2), TextOf(3), TextOf(4), reader.GetBoolean(5));

        string? TextOf(int column) => reader.IsDBNull(column) ? null : reader.GetString(column);
    }

    /// <summary>Whether it was not taken up yet, and never will be.</summary>
    private async Task<bool> WithdrawAsync(long id)
    {
        await using var command = new NpgsqlCommand(WithdrawSql, _connection) { Parameters = { new() { Value = id } } };
        return await command.ExecuteNonQueryAsync(CancellationToken.None) > 0;
    }

    private async Task<ToolException> NoNodeAsync()
    {
        var place = Place;
        await DisposeAsync();
        return new ToolException("AA6003", $"The {place} is no node's, or was set up by an older library: start the application, or run 'aa setup' in it.", ExitCodes.NotLed);
    }

    private async Task<object?> ScalarAsync(string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, _connection);
        command.Parameters.AddRange(parameters);
        return await command.ExecuteScalarAsync(cancellationToken);
    }

    private static NpgsqlParameter Text(string text) => new() { NpgsqlDbType = NpgsqlDbType.Text, Value = text };

    private static string Age(TimeSpan age) => age < TimeSpan.FromMinutes(2) ? Texts.Seconds(age.TotalSeconds) : age.ToString(@"d\.hh\:mm\:ss", CultureInfo.InvariantCulture);
}

/// <summary>What an instance that led has reported.</summary>
/// <param name="Instance">Which one; see <see cref="Leader"/>.</param>
/// <param name="At">When.</param>
/// <param name="Age">How long ago.</param>
/// <param name="Content">See docs/TOOL.md.</param>
internal sealed record Report(string Instance, DateTimeOffset At, TimeSpan Age, JsonObject Content);
