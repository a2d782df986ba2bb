using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>
/// What capture knew at a log position; a function of the log's prefix, so that reading again from here gives the same result.
/// </summary>
/// <param name="Position">Transactions whose commit record starts before it are behind.</param>
/// <param name="GreatestStamp">The greatest stamp before it: of local transactions (corrected), of foreign ones, and of markers' floors.</param>
/// <param name="Applied">Per origin, the last transaction that the log before it shows as applied.</param>
/// <param name="LastPublished">The last local transaction before it: a peer that does not have this one can't go on from here.</param>
internal sealed record CaptureCheckpoint(
    NpgsqlLogSequenceNumber Position, CommitTimestamp GreatestStamp, DependencyVector Applied, NpgsqlLogSequenceNumber LastPublished = default);
