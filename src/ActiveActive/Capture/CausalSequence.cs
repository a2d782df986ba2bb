using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Capture;

/// <summary>
/// Turns the log's transactions into <see cref="ChangeTransaction"/>s: the log tells, exactly and in order, which foreign
/// transactions were applied before a local one committed. Pure: the same log from the same checkpoint gives the same result.
/// </summary>
internal sealed class CausalSequence
{
    private readonly NodeName _self;
    private CommitTimestamp _stamp;

    public CausalSequence(NodeName self, CaptureCheckpoint checkpoint)
    {
        _self = self;
        Applied = checkpoint.Applied;
        GreatestStamp = checkpoint.GreatestStamp;
    }

    /// <summary>Per origin, the last transaction that the log so far shows as applied.</summary>
    public DependencyVector Applied { get; private set; }

    /// <summary>The greatest stamp so far: local (as corrected), foreign, or a marker's floor.</summary>
    public CommitTimestamp GreatestStamp { get; private set; }

    /// <summary>Which rows the last local transaction wrote, where an earlier one may show the same stamp; null where none does.</summary>
    public WrittenRows? Written { get; private set; }

    /// <summary>The transaction to publish, or null: foreign transactions and markers only move the state.</summary>
    public ChangeTransaction? Next(CapturedTransaction captured)
    {
        // What the node settled itself, by a rule that every node follows: nobody's write.
        if (captured.ForeignOrigin == _self) return null;
        if (!captured.ForeignOrigin.IsNone)
        {
            if (!captured.IsLastPart) return null;
            Applied = After(captured.ForeignOrigin, captured.ForeignPosition, captured.IsQuarantined);
            Raise(captured.Stamp);
            return null;
        }

        if (captured.Changes.Count == 0 && captured.Part == 0 && captured.IsLastPart)
        {
            Raise(captured.Floor);
            return null;
        }

        if (captured.Part == 0)
        {
            Written = captured.Stamp > GreatestStamp ? null : new WrittenRows();
            Raise(_stamp = Correct(captured.Stamp));
        }

        Written?.Add(captured.Changes);
        return new ChangeTransaction
        {
            Origin = _self,
            Position = captured.Position,
            Stamp = _stamp,
            Dependencies = Applied,
            Changes = captured.Changes,
            Part = captured.Part,
            IsLastPart = captured.IsLastPart,
        };
    }

    // A transaction that comes again has left the quarantine: it is applied (or given up) from here on, and not before.
    private DependencyVector After(NodeName origin, NpgsqlLogSequenceNumber position, bool isQuarantined) => isQuarantined && !Safeguards.IsOff(Safeguard.QuarantineGap)
        ? Applied.WithGap(origin, position)
        : Applied.Advance(origin, position).WithoutGap(origin, position);

    /// <summary>
    /// A transaction is later than all that stands before it in the log (convergence R4). Its server's clock may say otherwise: it was set
    /// back, or the transaction read it before it wrote its commit record, and others passed it in between.
    /// </summary>
    private CommitTimestamp Correct(CommitTimestamp stamp) => stamp > GreatestStamp || Safeguards.IsOff(Safeguard.CorrectStamps) ? stamp : GreatestStamp.Next;

    private void Raise(CommitTimestamp stamp)
    {
        if (stamp > GreatestStamp) GreatestStamp = stamp;
    }
}
