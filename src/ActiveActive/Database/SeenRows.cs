using ActiveActive.Changes;
using ActiveActive.Progress;

namespace ActiveActive.Database;

/// <summary>
/// Which rows a transaction's writer had certainly seen, told by what their <c>xmin</c> shows: those of its own origin, and those of transactions that had
/// ended before the horizon, whose stamp is not that of an unseen one. What the running transaction wrote itself is seen, too.
/// </summary>
/// <param name="Origin">Its origin.</param>
/// <param name="Horizon">A transaction id: capture has passed every earlier one (modulo 2^32).</param>
/// <param name="Unseen">Later and concurrent transactions. A row that has lost its stamp is seen if it is older than all of them.</param>
internal sealed record SeenRows(NodeName Origin, uint Horizon, IReadOnlyList<ShownVersion> Unseen);
