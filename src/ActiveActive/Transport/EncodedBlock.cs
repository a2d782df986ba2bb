using System.Runtime.InteropServices;

namespace ActiveActive.Transport;

/// <summary>
/// Consecutive transactions that are compressed together where a peer is sent all of them at once: a small one alone gains nothing, and many of them repeat each
/// other. Which ones is the same for all peers, so that the work is done once, by the first that wants it. Filled by one thread, under its lock; whole, it never changes.
/// </summary>
internal sealed class EncodedBlock
{
    // More saves little more; what is in a block is sent whole or not at all.
    internal const int MaxBytes = 32 << 10;
    internal const int MaxTransactions = 128;

    private readonly List<EncodedTransaction> _transactions = [];
    private byte[]? _frameBytes;
    private bool _isEncoded;
    private object? _encoding;
    private int _bytes;
    private volatile bool _isWhole;

    /// <summary>Whether nothing is added any more.</summary>
    public bool IsWhole => _isWhole;

    public IReadOnlyList<EncodedTransaction> Transactions => _transactions;

    /// <summary>The whole compressed frame; null where it is not worth it.</summary>
    public byte[]? FrameBytes => LazyInitializer.EnsureInitialized(ref _frameBytes, ref _isEncoded, ref _encoding, Encode);

    /// <summary>Adds one; the first always has room. False, and the block is whole, where it belongs into the next.</summary>
    public bool TryAdd(EncodedTransaction transaction)
    {
        // One that is not the same for all peers stands alone: a block is sent to any of them.
        if (_isWhole || (_transactions.Count > 0 && transaction.ByPeer is not null) || (_transactions.Count > 0 && _bytes + transaction.LengthBytes > MaxBytes))
        {
            _isWhole = true;
            return false;
        }

        _transactions.Add(transaction);
        transaction.Block = this;
        _bytes += transaction.LengthBytes;
        if (_bytes >= MaxBytes || _transactions.Count >= MaxTransactions || transaction.ByPeer is not null) _isWhole = true;
        return true;
    }

    /// <summary>Nothing more comes.</summary>
    public void Complete() => _isWhole = true;

    private byte[] Encode() => CompressedFrame.TryEncode(CollectionsMarshal.AsSpan(_transactions))!;
}
