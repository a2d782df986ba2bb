using System.Buffers.Binary;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Reads what lies far behind from a slot's log, many changes at once: the walsender sends each change by itself, which costs several times what decoding it does, and
/// <c>pg_logical_slot_get_binary_changes</c> decodes a batch before it gives the first
/// (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION). The messages are the same. It moves the slot on, so the slot must be nobody else's: a copy.
/// </summary>
internal sealed class LogBatches(PostgresDatabaseOptions options, ReplicationSlot slot, IReadOnlyDictionary<string, string?> plugin) : IAsyncDisposable
{
    /// <summary>From here on the walsender is as fast: each batch begins with decoding from the slot's restart position.</summary>
    private const long LeastBytes = 16 << 20;

    /// <summary>A batch ends with the transaction that reaches it. The server keeps a batch on disk where it is large.</summary>
    private const int BatchChanges = 100_000;

    private const int HeaderLength = 19;
    private const int FirstBufferLength = 1 << 18;

    private byte[] _buffer = [];
    private int _start;
    private int _end;
    private NpgsqlConnection? _connection;
    private NpgsqlRawCopyStream? _copy;
    // No row of the batch has come yet.
    private bool _isFirst;

    /// <summary>The message; until the next one is asked for.</summary>
    public ReadOnlyMemory<byte> Current { get; private set; }

    /// <summary>The next message; false where the rest is to be streamed.</summary>
    /// <param name="position">Where the stream would start now.</param>
    /// <param name="cancellationToken">Gives up; then it must be disposed.</param>
    public async ValueTask<bool> MoveNextAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        while (true)
        {
            short columns;
            try
            {
                if (_copy is null && !await StartAsync(position, cancellationToken)) break;
                // A row is its number of columns, and for each a length and the bytes.
                columns = BinaryPrimitives.ReadInt16BigEndian((await NeedAsync(2, cancellationToken)).Span);
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ConfigurationLimitExceeded && _isFirst)
            {
                // temp_file_limit. The slot has not moved, and the server lets go of it in a moment. Npgsql has closed the connection.
                _copy = null;
                break;
            }

            _isFirst = false;
            if (columns >= 0)
            {
                var length = BinaryPrimitives.ReadInt32BigEndian((await NeedAsync(4, cancellationToken)).Span);
                Current = await NeedAsync(length, cancellationToken);
                return true;
            }

            await _copy!.DisposeAsync();
            _copy = null;
        }

        await DisposeAsync();
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        if (_copy is { } copy)
        {
            _copy = null;
            await copy.DisposeAsync();
        }

        if (_connection is { } connection)
        {
            _connection = null;
            await connection.DisposeAsync();
        }
    }

    private async ValueTask<bool> StartAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        if (_connection is null)
        {
            _connection = new NpgsqlConnection(PostgresConnections.ForLogBatches(options.ConnectionString));
            await _connection.OpenAsync(cancellationToken);
        }

        // The slot is beyond the position where nothing that is published lay between.
        await using (var behind = new NpgsqlCommand("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), greatest($1, confirmed_flush_lsn))::bigint FROM pg_replication_slots WHERE slot_name = $2", _connection))
        {
            behind.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.PgLsn, Value = position });
            behind.Parameters.Add(SqlParameters.Text(slot.Name));
            if ((long)(await behind.ExecuteScalarAsync(cancellationToken))! < LeastBytes) return false;
        }

        var settings = string.Join(", ", plugin.Select(static o => $"'{o.Key}', '{o.Value}'"));
        (_start, _end, _isFirst) = (0, 0, true);
        _copy = await _connection.BeginRawBinaryCopyAsync(
            $"COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes('{slot.Name}', NULL, {BatchChanges}, {settings})) TO STDOUT (FORMAT binary)", cancellationToken);
        await NeedAsync(HeaderLength, cancellationToken);
        return true;
    }

    private async ValueTask<ReadOnlyMemory<byte>> NeedAsync(int length, CancellationToken cancellationToken)
    {
        if (_end - _start < length) await ReadAsync(length, cancellationToken);
        var bytes = _buffer.AsMemory(_start, length);
        _start += length;
        return bytes;
    }

    private async ValueTask ReadAsync(int length, CancellationToken cancellationToken)
    {
        var held = _end - _start;
        var target = length <= _buffer.Length ? _buffer : new byte[Math.Max(FirstBufferLength, length)];
        Buffer.BlockCopy(_buffer, _start, target, 0, held);
        (_buffer, _start, _end) = (target, 0, held);
        while (_end < length)
        {
            var read = await _copy!.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
            if (read == 0) throw new ReplicationException(ReplicationErrorKind.Transient, $"The server ended a batch of slot '{slot.Name}' in the middle.");
            _end += read;
        }
    }
}
