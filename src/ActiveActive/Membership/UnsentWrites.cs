using System.Runtime.CompilerServices;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Membership;

/// <summary>
/// What a node has committed and no other one has received, when it takes another one's data in place of its own. The others have written without it, and have forgotten what it would have to be compared with; so none of it is applied
/// anywhere any more. Nothing is lost silently, either: each change stands in the conflict history.
/// </summary>
internal sealed class UnsentWrites(NodeName self, ILocalDatabase database, NodeName donor)
{
    /// <param name="checkpoint">Where the node's slot begins.</param>
    /// <param name="reach">The last of the node's transactions that others have.</param>
    /// <param name="cancellationToken">Gives up; nothing has changed then.</param>
    public async ValueTask GiveUpAsync(CaptureCheckpoint checkpoint, NpgsqlLogSequenceNumber reach, CancellationToken cancellationToken) =>
        await database.GiveUpDataAsync(ReadAsync(checkpoint, reach, cancellationToken), cancellationToken);

    private async IAsyncEnumerable<ConflictRecord> ReadAsync(CaptureCheckpoint checkpoint, NpgsqlLogSequenceNumber reach, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Local writers are kept out already.
        var end = (await database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken)).Position;
        var sequence = new CausalSequence(self, checkpoint);
        await using var stream = await database.OpenChangeStreamAsync(checkpoint.Position, null, cancellationToken);
        await foreach (var captured in stream.ReadAsync(cancellationToken))
        {
            if (sequence.Next(captured) is { } transaction && transaction.Position > reach)
            {
                foreach (var change in transaction.Changes) yield return Record(change, transaction.Version);
            }

            if (captured.Position >= end) yield break;
        }
    }

    private ConflictRecord Record(Change change, RowVersion version) => new()
    {
        Table = change.Relation.Root,
        Key = (change.NewRow ?? change.OldRow) is { } image ? [.. change.Relation.KeyOrdinals.Select(i => image[i].Text ?? "")] : [],
        Type = ConflictType.Discarded,
        LocalRow = ToRow(change.Relation, change.OldRow),
        RemoteRow = ToRow(change.Relation, change.NewRow),
        RemoteVersion = version,
        Outcome = ConflictOutcome.Skip,
        Winner = donor,
        Resolver = "resync",
        Reason = $"{change.Kind} on node '{self}' that no other node had received when it was parted from the cluster: it has the data of node '{donor}' since. The local row is what the write replaced, as far as the log names it.",
    };

    private static Row? ToRow(Relation relation, ColumnValue[]? values) => values is null ? null
        : new(Enumerable.Range(0, values.Length).Where(i => !values[i].IsUnchanged).Select(i => KeyValuePair.Create(relation.Columns[i].Name, values[i].Text)));
}
