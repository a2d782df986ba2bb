using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>A committed entry of the log that was written to be waited for.</summary>
/// <param name="Position">Its place: everything visible to anyone before it was written lies before.</param>
/// <param name="Horizon">Every transaction with an earlier id (modulo 2^32) had ended when it was written; 0 for none.</param>
internal readonly record struct LogMarker(NpgsqlLogSequenceNumber Position, uint Horizon)
{
    /// <summary>Whether a transaction that has ended lies before the marker, by its id alone.</summary>
    public bool IsAfter(uint xid) => Horizon != 0 && (int)(xid - Horizon) < 0;
}
