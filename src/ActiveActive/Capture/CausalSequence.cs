using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Capture;

/// <summary>
/// Turns the log's transactions into <see cref="ChangeTransaction"/>s: the log tells, exactly and in order, which foreign
/// transactions were applied before a local one committed. Pure: the same log from the same checkpoint gives the same result.
/// </summary>
internal sealed class CausalSequence
{
    private readonly NodeName _self;

    public CausalSequence(NodeName self, CaptureCheckpoint checkpoint)
    {
        _self = self;
        Applied = checkpoint.Applied;
        GreatestStamp = checkpoint.GreatestStamp;
    }

    /// <summary>Per origin, the last transaction that the log so far shows as applied.</summary>
    public DependencyVector Applied { get; private set; }

    public CommitTimestamp GreatestStamp { get; private set; }

    /// <summary>The transaction to publish, or null: foreign transactions and markers only move the state.</summary>
    public ChangeTransaction? Next(CapturedTransaction captured)
    {
        if (!captured.ForeignOrigin.IsNone)
        {
            if (captured.IsLastPart) Applied = After(captured.ForeignOrigin, captured.ForeignPosition, captured.IsQuarantined);
            return null;
        }

        if (captured.Stamp > GreatestStamp) GreatestStamp = captured.Stamp;
        if (captured.Changes.Count == 0 && captured.Part == 0 && captured.IsLastPart) return null;
        return new ChangeTransaction
        {
            Origin = _self,
            Position = captured.Position,
            Stamp = captured.Stamp,
            Dependencies = Applied,
            Changes = captured.Changes,
            Part = captured.Part,
            IsLastPart = captured.IsLastPart,
        };
    }

    // A transaction that comes again has left the quarantine: it is applied (or given up) from here on, and not before.
    private DependencyVector After(NodeName origin, NpgsqlLogSequenceNumber position, bool isQuarantined) => isQuarantined
        ? Applied.WithGap(origin, position)
        : Applied.Advance(origin, position).WithoutGap(origin, position);
}
