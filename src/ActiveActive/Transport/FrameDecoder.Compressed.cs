using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.IO.Compression;

namespace ActiveActive.Transport;

internal sealed partial class FrameDecoder
{
    private byte[]? _decompressed;
    private ReadOnlySequence<byte> _decompressedRest;

    /// <summary>Whether compressed frames were agreed on.</summary>
    public bool TakesCompressed { get; set; }

    /// <summary>The next transaction of the compressed frame that was read last; one at a time, so that no more of them is in memory than is asked for.</summary>
    /// <exception cref="ReplicationException">Corrupt.</exception>
    public bool TryTakeDecompressed([NotNullWhen(true)] out Frame? frame)
    {
        frame = _decompressed is null ? null : TakeDecompressed();
        return frame is not null;
    }

    private TransactionFrame Decompress(in ReadOnlySequence<byte> payload)
    {
        if (!TakesCompressed) throw Corrupt("A compressed frame came, and none was agreed on.");
        try
        {
            var reader = new PayloadReader(payload);
            if (reader.ReadArrayHeader(FrameLimits.MaxFields) != 3 || reader.ReadInt32() != (int)FrameKind.Compressed) throw Corrupt("A compressed frame has not three fields.");
            var length = reader.ReadNonNegative();
            var content = reader.ReadBinary();
            if (!reader.AtEnd) throw Corrupt("A compressed frame has bytes after its end.");

            // BEFORE anything is allocated: neither more than a frame may have, nor out of proportion to what was sent.
            if (length > maxFrameBytes) throw Corrupt($"A compressed frame announces {length} bytes; at most {maxFrameBytes} can be.");
            if (length > content.Length * FrameLimits.MaxExpansion) throw Corrupt($"A compressed frame announces {length} bytes in {content.Length}; at most {FrameLimits.MaxExpansion} for each can be.");
            return Decompress(content, length);
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            throw Unreadable(e);
        }
    }

    private TransactionFrame Decompress(in ReadOnlySequence<byte> content, int length)
    {
        _decompressed = ArrayPool<byte>.Shared.Rent(length + 1);
        _decompressedRest = new ReadOnlySequence<byte>(_decompressed, 0, length);
        if (!TryDecompress(content, _decompressed.AsSpan(0, length + 1)))
        {
            Release();
            throw Corrupt($"The content of a compressed frame is not {length} compressed bytes.");
        }

        return TakeDecompressed();
    }

    /// <summary>Whether the content fills the room but for one byte. That one is for what would give more: it stops there.</summary>
    private static bool TryDecompress(in ReadOnlySequence<byte> content, Span<byte> room)
    {
        using var decoder = new BrotliDecoder();
        var status = OperationStatus.NeedMoreData;
        foreach (var memory in content)
        {
            var piece = memory.Span;
            if (piece.IsEmpty) continue;
            if (status != OperationStatus.NeedMoreData) return false;
            status = decoder.Decompress(piece, room, out var read, out var written);
            room = room[written..];
            if (read < piece.Length) return false;
        }

        return status == OperationStatus.Done && room.Length == 1;
    }

    private TransactionFrame TakeDecompressed()
    {
        try
        {
            var reader = new PayloadReader(_decompressedRest);
            if (Read(ref reader) is not TransactionFrame frame) throw Corrupt("A compressed frame holds something else than transactions.");
            _decompressedRest = _decompressedRest.Slice(reader.Consumed);
            if (_decompressedRest.IsEmpty) Release();
            return frame;
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            Release();
            throw Unreadable(e);
        }
        catch
        {
            Release();
            throw;
        }
    }

    private void Release()
    {
        ArrayPool<byte>.Shared.Return(_decompressed!);
        _decompressed = null;
        _decompressedRest = default;
    }
}
