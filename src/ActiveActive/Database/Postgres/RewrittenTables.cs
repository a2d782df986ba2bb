using System.Collections.Concurrent;
using ActiveActive.Changes;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Notices that a table was rewritten (ALTER TABLE … TYPE, pg_repack, VACUUM FULL, a local TRUNCATE): it has another file then, and its rows may show a
/// transaction that has not written them. Nothing is decided about such a row before <see cref="VersionRestoration"/> has brought the versions back. What
/// is known is shared by all sessions of the database.
/// </summary>
internal sealed partial class RewrittenTables(PostgresDatabaseOptions options, NpgsqlDataSource dataSource, ILogger logger) : IDisposable
{
    private readonly SemaphoreSlim _restoring = new(1, 1);
    // Of each table the latest, and the one before it, which a rollback may bring back.
    private readonly ConcurrentDictionary<uint, (uint Latest, uint Former)> _files = [];
    private readonly ConcurrentDictionary<(TableName Table, uint Xid), bool> _rewriters = [];
    private readonly ConcurrentDictionary<TableName, bool> _noted = [];
    // Of tables whose versions could not be restored, for those who look at their rows.
    private readonly ConcurrentDictionary<TableName, ReplicationException> _refused = [];
    private volatile bool _isLoaded;

    /// <summary>A row that shows a transaction whose stamp the server has forgotten is older than everything anyway.</summary>
    public static NpgsqlBatchCommand Collect() => new("DELETE FROM active_active.rewriter WHERE pg_xact_commit_timestamp(xid::text::xid) IS NULL");

    /// <summary>Reads what is stored; once in the object's life.</summary>
    public async ValueTask LoadAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (_isLoaded) return;
        await using (var command = new NpgsqlCommand("SELECT table_oid, file FROM active_active.table_file", connection))
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken)) AddFile(reader.GetFieldValue<uint>(0), reader.GetFieldValue<uint>(1));
        }

        await using (var command = new NpgsqlCommand("SELECT table_name, xid FROM active_active.rewriter", connection))
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken)) AddRewriter(TableName.Parse(reader.GetString(0)), (uint)reader.GetInt64(1));
        }

        _isLoaded = true;
    }

    /// <summary>Whether the rows in a table's file show their writers.</summary>
    /// <param name="table">The OID of the table or partition.</param>
    /// <param name="file">Its <c>pg_relation_filenode</c>.</param>
    public bool IsKnown(uint table, uint file) => table == file || (file != 0 && _files.TryGetValue(table, out var known) && (file == known.Latest || file == known.Former));

    /// <summary>The files of tables that were rewritten whose rows show their writers all the same: two of each table at most.</summary>
    public IReadOnlyCollection<uint> KnownFiles => [.. _files.Values.SelectMany(static f => new[] { f.Latest, f.Former }).Where(static f => f != 0)];

    /// <summary>The true version of a row without an override that shows a transaction which rewrote it; null where the row shows its writer.</summary>
    public RowVersion? VersionOf(TableName table, LocalRow row) =>
        !_rewriters.IsEmpty && _rewriters.ContainsKey((table, row.Xid)) ? new RowVersion(CommitTimestamp.Unknown, row.Origin, default) : null;

    public void AddFile(uint table, uint file) => _files.AddOrUpdate(table, (file, 0), (_, known) => known.Latest == file ? known : (file, known.Latest));

    public void AddRewriter(TableName table, uint xid) => _rewriters[(table, xid)] = true;

    /// <summary>Notes a table whose versions must be restored first; the next <see cref="RestoreNotedAsync"/> of any session does that.</summary>
    /// <returns>To be thrown: the transaction lets go of its locks and comes again. If that has failed since it was noted before, why.</returns>
    public ReplicationException Note(TableName table)
    {
        _noted[table] = true;
        if (_refused.TryRemove(table, out var fault)) return new ReplicationException(fault.Kind, fault.Message, fault);
        return new ReplicationException(ReplicationErrorKind.Transient, $"Table {table} has been rewritten here. What its rows show now is not what was written: their versions are read from the log again.");
    }

    /// <summary>
    /// Restores the versions of the rows of all noted tables. The caller holds no lock of the database, and may have nothing to do with them: one that can't be restored (it has become a partition, has no primary
    /// key any more, no slot is free to read the log) stops only those who look at its rows, whose next look notes it again.
    /// </summary>
    public async ValueTask RestoreNotedAsync(CancellationToken cancellationToken)
    {
        if (_noted.IsEmpty) return;
        await _restoring.WaitAsync(cancellationToken);
        try
        {
            foreach (var table in _noted.Keys)
            {
                try
                {
                    var restored = await VersionRestoration.RunAsync(options, dataSource, this, table, cancellationToken);
                    _refused.TryRemove(table, out _);
                    _noted.TryRemove(table, out _);
                    if (restored is { } count) LogRestored(options.Node, table, count);
                }
                catch (ReplicationException e)
                {
                    _refused[table] = e;
                    _noted.TryRemove(table, out _);
                }
            }
        }
        finally
        {
            _restoring.Release();
        }
    }

    public void Dispose() => _restoring.Dispose();

    [LoggerMessage(EventId = 2002, Level = LogLevel.Information, Message = "AA2002: node '{Node}': table {Table} was rewritten. The versions of {Rows} rows were read from the log again")]
    private partial void LogRestored(NodeName node, TableName table, long rows);
}
