using ActiveActive.Database;
using ActiveActive.Progress;

namespace ActiveActive.Apply;

/// <summary>What the apply workers of one life of a node share.</summary>
/// <param name="Database">The node's database.</param>
/// <param name="Progress">Its positions.</param>
/// <param name="Index">Which position a row stands for.</param>
/// <param name="Keys">Who decides about which key.</param>
/// <param name="Quarantine">Which rows wait for a transaction in quarantine.</param>
/// <param name="Losers">Which tables have rows that lost a unique value.</param>
/// <param name="InOrder">Transactions whose writes are performed one by one.</param>
/// <param name="Looking">Transactions that are not written without a look at the rows.</param>
/// <param name="ConflictsRecorded">Told what a transaction recorded, once it is committed.</param>
internal sealed record ApplyContext(
    ILocalDatabase Database, ReplicationProgress Progress, TransactionIndex Index, KeyGate Keys, QuarantineRegister Quarantine,
    UniqueLosers Losers, OriginPositions InOrder, OriginPositions Looking, Action<IReadOnlyList<ConflictRecord>> ConflictsRecorded)
{
    /// <summary>Which rows leave this node.</summary>
    public RowEvictions Evictions { get; init; } = new(Progress.Self, Routes.TableRoutes.None);
}
