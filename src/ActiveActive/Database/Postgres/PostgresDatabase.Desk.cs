using System.Text.Json;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <content>Reports, commands and pauses: <c>active_active.report</c>, <c>command</c> and <c>paused_peer</c>.</content>
internal sealed partial class PostgresDatabase : INodeDesk
{
    // Capture may not run yet, and synchronous replication may name it.
    private const string CommitLocallySql = "SELECT pg_catalog.set_config('synchronous_commit', 'local', true)";

    private const string ReadDeskSql =
        """
        SELECT ARRAY(SELECT peer FROM active_active.paused_peer), EXISTS (SELECT FROM active_active.command WHERE state = 'asked' AND valid_until > clock_timestamp())
        """;

    private const string PauseSql = "INSERT INTO active_active.paused_peer (peer) VALUES ($1) ON CONFLICT (peer) DO NOTHING";

    private const string ResumeSql = "DELETE FROM active_active.paused_peer WHERE peer = $1";

    private const string ReportSql =
        """
        INSERT INTO active_active.report AS r (instance, content) VALUES ($1, $2::jsonb)
        ON CONFLICT (only_row) DO UPDATE SET instance = excluded.instance, reported_at = clock_timestamp(), content = excluded.content
        """;

    private const string AbandonSql =
        """
        UPDATE active_active.command SET state = 'failed', code = 'AA6006', error = 'The instance that had taken it up has ended; whether it was done is not known.', ended_at = clock_timestamp()
        WHERE state = 'running' AND taken_by <> $1
        """;

    private const string TakeSql =
        $"""
        UPDATE active_active.command c SET state = 'running', taken_by = $1, taken_at = clock_timestamp()
        FROM (SELECT id FROM active_active.command WHERE state = 'asked' AND valid_until > clock_timestamp() ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) AS next
        WHERE c.id = next.id
        RETURNING c.id, c.verb, c.arguments::text, {VersionSql.CurrentXid}
        """;

    private const string EndSql = "UPDATE active_active.command SET state = $2, result = $3::jsonb, code = $4, error = $5, ended_at = clock_timestamp() WHERE id = $1";

    // Nobody else deletes them.
    private const string ForgetSql = "DELETE FROM active_active.command WHERE asked_at < clock_timestamp() - interval '30 days'";

    public INodeDesk Desk => this;

    public ValueTask<DeskState> ReadDeskAsync(CancellationToken cancellationToken) => RunAsync("reading what the node is asked to do", async () =>
    {
        await using var command = _dataSource.CreateCommand(ReadDeskSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new DeskState([.. reader.GetFieldValue<string[]>(0).Where(NodeName.IsValid).Select(static name => new NodeName(name))], reader.GetBoolean(1));
    });

    public ValueTask SavePauseAsync(NodeName peer, bool isPaused, CancellationToken cancellationToken) => ExecuteAsync(
        $"{(isPaused ? "pausing" : "resuming")} peer '{peer}'", [new(CommitLocallySql), SqlParameters.Command(isPaused ? PauseSql : ResumeSql, SqlParameters.Text(peer.Value))], cancellationToken);

    // Nothing of an unlogged table is written to the log, and nobody waits for it.
    public ValueTask SaveReportAsync(string report, CancellationToken cancellationToken) => ExecuteAsync(
        "reporting the node's status", [SqlParameters.Command(ReportSql, SqlParameters.Text(_options.Instance.Id), SqlParameters.TypedText(report))], cancellationToken);

    public ValueTask AbandonCommandsAsync(CancellationToken cancellationToken) => ExecuteAsync(
        "closing what an earlier instance was asked to do", [new(CommitLocallySql), SqlParameters.Command(AbandonSql, SqlParameters.Text(_options.Instance.Id))], cancellationToken);

    public ValueTask<NodeCommand?> TakeCommandAsync(CancellationToken cancellationToken) => RunAsync<NodeCommand?>("taking up what the node is asked to do", async () =>
    {
        await using var connection = await _dataSource.OpenConnectionAsync(cancellationToken);
        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new(CommitLocallySql), SqlParameters.Command(TakeSql, SqlParameters.Text(_options.Instance.Id)) } };
        var generation = OwnTransactions.Generation;
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return null;
        OwnTransactions.Note((uint)reader.GetInt64(3), generation);
        using var arguments = JsonDocument.Parse(reader.GetString(2));
        return new NodeCommand(reader.GetInt64(0), reader.GetString(1), arguments.RootElement.Clone());
    });

    public ValueTask EndCommandAsync(long id, CommandOutcome outcome, CancellationToken cancellationToken) => ExecuteAsync(
        $"noting how command {id} ended",
        [
            new(CommitLocallySql),
            SqlParameters.Command(EndSql, SqlParameters.Number(id), SqlParameters.Text(outcome.Code is null ? "done" : "failed"), SqlParameters.Text(outcome.Result), SqlParameters.Text(outcome.Code), SqlParameters.Text(outcome.Error)),
            new(ForgetSql),
        ], cancellationToken);
}
