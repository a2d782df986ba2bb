using System.Buffers;
using System.Runtime.CompilerServices;
using ActiveActive.Database.Postgres.PgOutput;
using Npgsql;
using Npgsql.Replication;
using Npgsql.Replication.Internal;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The log as a stream of transactions: logical streaming replication with pgoutput, protocol version 1 in text mode
/// (https://www.postgresql.org/docs/current/protocol-logical-replication.html).
/// </summary>
/// <remarks>
/// All traffic on the connection is the reader's, but for status updates: those are Npgsql's own, sent by its timer and serialised by
/// it, so that <see cref="Confirm"/> has only to store a number and a confirmation reaches the server within
/// <see cref="StatusInterval"/>, be the reader busy, waiting or paused by a slow consumer.
/// </remarks>
internal sealed class PostgresChangeStream : IChangeStream
{
    /// <summary>How long a confirmation waits at most before it is sent; an idle connection sends as often.</summary>
    public static readonly TimeSpan StatusInterval = TimeSpan.FromMilliseconds(200);

    /// <summary>The server is asked for a sign of life after half of it, and given up after all of it.</summary>
    private static readonly TimeSpan s_receiverTimeout = TimeSpan.FromSeconds(60);

    /// <summary>Longer than Npgsql needs to cancel (2 s) and then to break the connection.</summary>
    private static readonly TimeSpan s_stopLimit = TimeSpan.FromSeconds(10);

    private readonly LogicalReplicationConnection _connection;
    private readonly ReplicationSlotCatalog _slots;
    private readonly ReplicationSlot _slot;
    private readonly RelationCatalog _relations;
    private readonly PartitionTruncates _truncates;
    private readonly TransactionAssembler _assembler;
    // Of a copy, which nobody else reads; what lies far behind is read through it before the rest is streamed.
    private readonly LogBatches? _batches;

    // Held while the connection is being read, so that it is never closed under a read.
    private readonly SemaphoreSlim _reading = new(1, 1);
    private readonly CancellationTokenSource _disposing = new();
    private readonly Lock _confirming = new();
    private readonly ReadPace _pace = new(TimeProvider.System);
    private NpgsqlLogSequenceNumber _confirmed;
    private ulong _undelivered = ulong.MaxValue;
    private NpgsqlLogSequenceNumber _start;
    private int _started;
    private int _disposed;

    private PostgresChangeStream(
        LogicalReplicationConnection connection, NpgsqlDataSource dataSource, ReplicationSlot slot, SlotCopy? copy,
        NpgsqlLogSequenceNumber start, PostgresDatabaseOptions options, PartitionTruncates truncates)
    {
        _connection = connection;
        _slots = new ReplicationSlotCatalog(dataSource);
        _slot = slot;
        _relations = new RelationCatalog(dataSource);
        _truncates = truncates;
        _assembler = new TransactionAssembler(slot.DatabaseOid, options.MaxChangesPerPart, options.MaxCharactersPerPart, copy);
        _start = start;
        _batches = copy is null ? null : new LogBatches(options, slot, s_options);
        _confirmed = slot.Confirmed;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Npgsql's position runs ahead of what was yielded: it moves when the bytes of a Commit arrive. From a transaction's Begin until the
    /// reader comes back for the next one it is therefore held at that transaction's position. Before a Begin arrives nothing later
    /// than its commit record can have been announced, since the server announces what it has decoded.
    /// </remarks>
    public NpgsqlLogSequenceNumber ReceivedPosition
    {
        get
        {
            // In this order: the position cannot pass a transaction's Begin without the Begin having been seen by the next line.
            var received = (ulong)_connection.LastReceivedLsn;
            return new NpgsqlLogSequenceNumber(Math.Max((ulong)_start, Math.Min(received, Volatile.Read(ref _undelivered))));
        }
    }

    /// <summary>Opens the node's slot, or a copy of it for one peer.</summary>
    /// <param name="options">The node's options.</param>
    /// <param name="dataSource">For look-ups beside the stream; outlives it.</param>
    /// <param name="truncates">What is known of partitions; shared with the database's other streams.</param>
    /// <param name="start">Where to start; must not lie before what the slot still has. Default: there.</param>
    /// <param name="copy">What to copy the slot for; the copy goes with the stream. Null to read the slot itself.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ReplicationException">See <see cref="ReplicationSlotCatalog"/>.</exception>
    public static async ValueTask<IChangeStream> OpenAsync(
        PostgresDatabaseOptions options, NpgsqlDataSource dataSource, PartitionTruncates truncates, NpgsqlLogSequenceNumber start, SlotCopy? copy, CancellationToken cancellationToken)
    {
        var slots = new ReplicationSlotCatalog(dataSource);
        ReplicationSlot? slot = null;
        LogicalReplicationConnection? connection = null;
        try
        {
            slot = await slots.FindAsync(mustBeFree: copy is null, cancellationToken);
            if (copy is not null) slot = await slots.CopyAsync(slot, copy, cancellationToken);
            RequireKept(slot, start, isCopy: copy is not null);
            connection = new LogicalReplicationConnection(PostgresConnections.ForReplication(options.ConnectionString))
            {
                WalReceiverStatusInterval = StatusInterval,
                WalReceiverTimeout = s_receiverTimeout,
            };
            await connection.Open(cancellationToken);
            return new PostgresChangeStream(connection, dataSource, slot, copy, start == default ? slot.Confirmed : start, options, truncates);
        }
        catch (Exception e)
        {
            if (connection is not null) await connection.DisposeAsync();
            if (slot is not null && copy is not null) await DropCopyAsync(slots, slot);
            if (e is OperationCanceledException && cancellationToken.IsCancellationRequested) throw;
            throw PostgresErrors.Translate(e, copy is null ? "opening the change stream" : $"opening the change stream for {copy.Peer}");
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<CapturedTransaction> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _started, 1) != 0) throw new InvalidOperationException("A change stream is read once.");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _disposing.Token);

        IAsyncEnumerator<XLogDataMessage>? messages = null;
        while (true)
        {
            CapturedTransaction? transaction = null;
            if (messages is null)
            {
                transaction = await NextInBatchesAsync(stop.Token, cancellationToken);
                // Not disposed here: Npgsql stops a replication when its connection is disposed, and only then.
                if (transaction is null) messages = _connection.StartLogicalReplication(new RawSlot(_slot), stop.Token, _start, s_options).GetAsyncEnumerator(stop.Token);
            }

            transaction ??= await NextAsync(messages!, stop.Token, cancellationToken);
            yield return transaction;
            if (!transaction.IsLastPart) continue;
            // Only now, when the reader has come back for the next one, is it delivered.
            if (messages is null) _start = new NpgsqlLogSequenceNumber((ulong)transaction.Position + 1);
            Volatile.Write(ref _undelivered, ulong.MaxValue);
        }
    }

    /// <inheritdoc/>
    /// <remarks>Never goes backwards, and never past what the server has sent: it would skip that, in this session and all later ones.</remarks>
    public void Confirm(NpgsqlLogSequenceNumber position)
    {
        var received = _connection.LastReceivedLsn > _start ? _connection.LastReceivedLsn : _start;
        lock (_confirming)
        {
            var next = position < received ? position : received;
            if (next <= _confirmed) return;
            _confirmed = next;
            _connection.SetReplicationStatus(next);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _disposing.CancelAsync();

        // The reader stops by the cancellation; should it not, the connection is closed under it.
        await _reading.WaitAsync(s_stopLimit);
        await _connection.DisposeAsync();
        if (_batches is not null)
        {
            await _batches.DisposeAsync();
            await _slots.DropAsync(_slot.Name);
        }

        _disposing.Dispose();
    }

    private static async Task DropCopyAsync(ReplicationSlotCatalog slots, ReplicationSlot slot)
    {
        if (slot.Name != PostgresNames.Slot(slot.DatabaseOid)) await slots.DropAsync(slot.Name);
    }

    // The server moves a start before the confirmed position forward to it, without a word: that would be a gap.
    private static void RequireKept(ReplicationSlot slot, NpgsqlLogSequenceNumber start, bool isCopy)
    {
        if (start == default || start >= slot.Confirmed) return;
        if (isCopy) throw new ReplicationException(ReplicationErrorKind.Transient, $"The checkpoint moved from {start} to {slot.Confirmed} while its slot was copied.");
        throw new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"The slot '{slot.Name}' has been confirmed up to {slot.Confirmed}, and capture must start at {start}: what lies between cannot be "
            + "read any more. This happens when the database, but not the slot, was restored to an earlier state. The node must join again.");
    }

    // Applied transactions tell what local ones had seen: they come before PostgreSQL 16, and from then on unless "origin" says "none".
    private static readonly Dictionary<string, string?> s_options = new(StringComparer.Ordinal)
    {
        ["proto_version"] = "1",
        ["publication_names"] = PostgresNames.Publication,
        ["messages"] = "true",
        ["binary"] = "false",
    };

    /// <summary>Null where the rest is to be streamed.</summary>
    private ValueTask<CapturedTransaction?> NextInBatchesAsync(CancellationToken stop, CancellationToken callers) => GuardAsync<CapturedTransaction?>(async () =>
    {
        while (_batches is not null && await _batches.MoveNextAsync(_start, stop))
        {
            // A batch begins where the slot stands, which is not after the start.
            if (await TakeAsync(_batches.Current, stop) is { } transaction && transaction.Position >= _start) return transaction;
        }

        if (_batches is not null) await _slots.UntilFreeAsync(_slot.Name, stop);
        return null;
    }, stop, callers);

    private ValueTask<CapturedTransaction> NextAsync(IAsyncEnumerator<XLogDataMessage> messages, CancellationToken stop, CancellationToken callers) => GuardAsync(async () =>
    {
        while (await MoveNextAsync(messages, stop))
        {
            if (await TakeAsync(messages.Current.Data, stop) is { } transaction) return transaction;
        }

        throw new ReplicationException(ReplicationErrorKind.Transient, $"The server ended the stream of slot '{_slot.Name}'.");
    }, stop, callers);

    private async ValueTask<T> GuardAsync<T>(Func<ValueTask<T>> next, CancellationToken stop, CancellationToken callers)
    {
        await _reading.WaitAsync(stop);
        try
        {
            return await next();
        }
        catch (Exception) when (stop.IsCancellationRequested)
        {
            throw new OperationCanceledException(callers.IsCancellationRequested ? callers : stop);
        }
        catch (PostgresException e)
        {
            throw await _slots.ExplainAsync(e, _slot.Name, stop);
        }
        catch (Exception e) when (e is not ReplicationException)
        {
            throw PostgresErrors.Translate(e, $"streaming from slot '{_slot.Name}'");
        }
        finally
        {
            _reading.Release();
        }
    }

    private async ValueTask<bool> MoveNextAsync(IAsyncEnumerator<XLogDataMessage> messages, CancellationToken stop)
    {
        await _pace.PauseAsync(stop);
        try
        {
            var next = messages.MoveNextAsync();
            _pace.Read(isThere: next.IsCompleted);
            return await next;
        }
        catch (Exception e) when (e is InvalidOperationException or NullReferenceException)
        {
            // What Npgsql's cleaning-up throws, in place of the fault itself, after the connection broke.
            throw new ReplicationException(ReplicationErrorKind.Transient, $"The connection that streams from slot '{_slot.Name}' was lost.", e);
        }
    }

    private async ValueTask<CapturedTransaction?> TakeAsync(Stream data, CancellationToken stop)
    {
        var length = (int)data.Length;
        var buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            await data.ReadExactlyAsync(buffer.AsMemory(0, length), stop);
            return await TakeAsync(buffer.AsMemory(0, length), stop);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask<CapturedTransaction?> TakeAsync(ReadOnlyMemory<byte> message, CancellationToken stop)
    {
        var step = _assembler.Next(message.Span);
        if (step.DescribedTable is { } table) await _truncates.NoteAsync(table, stop);
        while (step.NeedsRelation)
        {
            var relation = await _relations.ResolveAsync(step.Unresolved, stop);
            _assembler.Resolve(step.Unresolved, relation);
            step = _assembler.Next(message.Span);
        }

        // Stays in place after the Commit, which ends the assembler's transaction: it has not been yielded yet.
        if (_assembler.OpenPosition is { } position) Volatile.Write(ref _undelivered, (ulong)position);
        return step.Transaction is { } transaction && PartitionTruncates.IsNeeded(transaction)
            ? await _truncates.GatherAsync(transaction, stop)
            : step.Transaction;
    }

    /// <summary>Npgsql's form of a slot that exists already.</summary>
    private sealed class RawSlot(ReplicationSlot slot)
        : LogicalReplicationSlot("pgoutput", new ReplicationSlotOptions(slot.Name, slot.Confirmed));
}
