using System.Buffers;
using System.IO.Pipelines;

namespace ActiveActive.Transport;

/// <summary>
/// Frames over one <see cref="IPeerConnection"/>, either side. One loop reads and one loop writes, each at its own pace; a second
/// writer (or reader) at the same time is a bug and is told so. Faults of the connection are
/// <see cref="ReplicationErrorKind.Transient"/>, bytes that are no frames are <see cref="ReplicationErrorKind.Corrupt"/>.
/// </summary>
internal sealed partial class FrameConnection : IAsyncDisposable
{
    // Large enough to make small frames cheap, small enough that a writer notices a slow reader early.
    private const int FlushThresholdBytes = 64 << 10;

    private readonly IPeerConnection _connection;
    private readonly string _peer;
    private readonly FrameDecoder _decoder;
    private readonly RelationWindow _announced = new();
    private readonly ReadDeadline _deadline;
    private int _unflushedBytes;
    private int _writing;
    private int _reading;

    /// <param name="connection">Owned from here on.</param>
    /// <param name="peer">How messages name the other side.</param>
    /// <param name="maxFrameBytes">See <see cref="ReplicationNodeOptions.MaxFrameBytes"/>.</param>
    /// <param name="readTimeout">
    /// How long a read waits without a single byte before the connection counts as dead: several heartbeat intervals.
    /// <see cref="Timeout.InfiniteTimeSpan"/> for ever.
    /// </param>
    /// <param name="time">The clock of <paramref name="readTimeout"/>.</param>
    public FrameConnection(IPeerConnection connection, string peer, int maxFrameBytes, TimeSpan readTimeout, TimeProvider time)
    {
        _connection = connection;
        _peer = peer;
        _decoder = new FrameDecoder(maxFrameBytes);
        _deadline = new ReadDeadline(connection.Input, readTimeout, time);
    }

    /// <summary>
    /// The next frame; null where the other side has ended the connection cleanly. Relations are kept for the transactions that refer to
    /// them and are not handed out.
    /// </summary>
    /// <exception cref="ReplicationException">Transient: the connection is lost or silent for too long. Corrupt: no frame.</exception>
    public async ValueTask<Frame?> ReadAsync(CancellationToken cancellationToken)
    {
        Enter(ref _reading, "read");
        try
        {
            while (true)
            {
                if (_decoder.TryTakeDecompressed(out var next)) return next;
                if (!_connection.Input.TryRead(out var result)) result = await _deadline.ReadAsync(cancellationToken);
                if (result.IsCanceled && _deadline.HasExpired)
                    throw Transient($"{_peer} has sent nothing for {_deadline.Timeout}: the connection counts as dead.");
                if (TryTakeFrame(result, out var frame))
                {
                    if (frame is RelationFrame) continue;
                    return frame;
                }

                if (!result.IsCompleted) continue;
                return result.Buffer.IsEmpty ? null : throw Transient($"{_peer} ended the connection within a frame.");
            }
        }
        catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Corrupt)
        {
            throw new ReplicationException(ReplicationErrorKind.Corrupt, $"{_peer} sent what is no frame: {e.Message} The connection is dialled again; check that both sides run adjacent versions.", e);
        }
        catch (Exception e) when (IsConnectionFault(e, cancellationToken))
        {
            throw Transient($"The connection to {_peer} is lost.", e);
        }
        finally
        {
            Volatile.Write(ref _reading, 0);
        }
    }

    /// <summary>Writes a frame that is no transaction. It is sent with the next flush.</summary>
    /// <exception cref="ReplicationException">Transient: the connection is lost.</exception>
    public ValueTask WriteAsync(Frame frame, CancellationToken cancellationToken) =>
        frame is RelationFrame
            ? throw new ArgumentException("Relations are announced by the transactions that refer to them.", nameof(frame))
            : WriteAsync(FrameCodec.Encode(frame), cancellationToken);

    /// <summary>
    /// Writes a transaction, and before it those of its relations that the other side does not know. It is sent with the next flush, or
    /// when enough has gathered.
    /// </summary>
    /// <exception cref="ReplicationException">Transient: the connection is lost.</exception>
    public ValueTask WriteAsync(EncodedTransaction transaction, CancellationToken cancellationToken) =>
        KnowsAll(transaction.Relations) ? WriteAsync(BytesOf(transaction), cancellationToken) : AnnounceAndWriteAsync(transaction, cancellationToken);

    /// <summary>Sends what is written, and waits while the other side is behind.</summary>
    /// <exception cref="ReplicationException">Transient: the connection is lost.</exception>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        Enter(ref _writing, "written");
        try
        {
            await FlushCoreAsync(cancellationToken);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <summary>Cuts the connection at once; a read that waits on either side ends.</summary>
    public void Abort() => _connection.Abort();

    /// <summary>Ends the connection cleanly: what is written still arrives.</summary>
    public async ValueTask DisposeAsync()
    {
        await _deadline.DisposeAsync();
        await _connection.DisposeAsync();
    }

    private bool TryTakeFrame(in ReadResult result, out Frame? frame)
    {
        var buffer = result.Buffer;
        var rest = buffer;
        var examined = buffer.Start;
        try
        {
            var taken = _decoder.TryDecode(ref rest, out frame);
            examined = taken ? rest.Start : buffer.End;
            return taken;
        }
        finally
        {
            _connection.Input.AdvanceTo(rest.Start, examined);
        }
    }

    private bool KnowsAll(IReadOnlyList<EncodedRelation> relations)
    {
        for (var i = 0; i < relations.Count; i++)
        {
            if (!Knows(relations[i])) return false;
        }

        return true;
    }

    private bool Knows(EncodedRelation relation)
    {
        var known = _announced.Find(relation.Id);
        if (known is null) return false;

        // Two encoders on one connection would let a row be read as another table's.
        return ReferenceEquals(known, relation.Relation)
            ? true
            : throw new InvalidOperationException($"Relation {relation.Id} is both {known} and {relation.Relation} on one connection: a node has one {nameof(TransactionEncoder)}.");
    }

    private async ValueTask AnnounceAndWriteAsync(EncodedTransaction transaction, CancellationToken cancellationToken)
    {
        if (CostOf(transaction.Relations) > _announced.CapacityBytes)
        {
            throw new ReplicationException(
                ReplicationErrorKind.Misconfigured,
                $"Part {transaction.Part} of transaction {transaction.Origin} {transaction.Position} changes {transaction.Relations.Count} tables, more than {_peer} can know at a "
                + $"time. Lower {nameof(ReplicationNodeOptions.MaxChangesPerPart)}.");
        }

        await AnnounceAsync(transaction.Relations, cancellationToken);
        await WriteAsync(BytesOf(transaction), cancellationToken);
    }

    private async ValueTask AnnounceAsync(IReadOnlyList<EncodedRelation> relations, CancellationToken cancellationToken)
    {
        // Announcing one relation can displace another of these, which is then announced again. As all of them fit together
        // and the oldest goes first, each is sent once at the most and this ends.
        while (!KnowsAll(relations))
        {
            foreach (var relation in relations)
            {
                if (Knows(relation)) continue;
                await WriteAsync(relation.FrameBytes, cancellationToken);
                _announced.TryAdd(relation.Id, relation.Relation);
            }
        }
    }

    private static long CostOf(IReadOnlyList<EncodedRelation> relations) => relations.Sum(static r => RelationWindow.CostOf(r.Relation));

    private ReadOnlyMemory<byte> BytesOf(EncodedTransaction transaction) => SendsCompressed && transaction.CompressedFrameBytes is { } compressed ? compressed : transaction.FrameBytes;

    private ValueTask WriteAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        if (_unflushedBytes + frame.Length > FlushThresholdBytes) return WriteLargeAsync(frame, cancellationToken);
        Enter(ref _writing, "written");
        try
        {
            Append(frame.Span);
            return ValueTask.CompletedTask;
        }
        catch (Exception e) when (IsConnectionFault(e, cancellationToken))
        {
            throw Transient($"The connection to {_peer} is lost.", e);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    private async ValueTask WriteLargeAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        Enter(ref _writing, "written");
        try
        {
            while (!frame.IsEmpty)
            {
                var size = Math.Min(frame.Length, FlushThresholdBytes);
                Append(frame.Span[..size]);
                frame = frame[size..];
                if (_unflushedBytes >= FlushThresholdBytes) await FlushCoreAsync(cancellationToken);
            }
        }
        catch (Exception e) when (IsConnectionFault(e, cancellationToken))
        {
            throw Transient($"The connection to {_peer} is lost.", e);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        _connection.Output.Write(bytes);
        _unflushedBytes += bytes.Length;
    }

    private async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        try
        {
            var result = await _connection.Output.FlushAsync(cancellationToken);
            _unflushedBytes = 0;
            if (result.IsCompleted || result.IsCanceled) throw Transient($"{_peer} has ended the connection.");
        }
        catch (Exception e) when (IsConnectionFault(e, cancellationToken))
        {
            throw Transient($"The connection to {_peer} is lost.", e);
        }
    }

    private static void Enter(ref int flag, string verb)
    {
        if (Interlocked.Exchange(ref flag, 1) != 0) throw new InvalidOperationException($"A connection is {verb} by one loop at a time.");
    }

    /// <summary>
    /// Whether a fault is the connection's own. Servers report a cut as a cancellation; one that our caller has not asked for is a cut.
    /// A pipe whose other half is gone refuses with an InvalidOperationException.
    /// </summary>
    private static bool IsConnectionFault(Exception e, CancellationToken cancellationToken) => e switch
    {
        OperationCanceledException => !cancellationToken.IsCancellationRequested,
        IOException or HttpRequestException or InvalidOperationException => true,
        _ => false,
    };

    private static ReplicationException Transient(string message, Exception? inner = null) => new(ReplicationErrorKind.Transient, message, inner);
}
