using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Database;
using ActiveActive.Membership;
using ActiveActive.Progress;
using ActiveActive.Transport;

namespace ActiveActive.Hosting;

/// <summary>One life of a node's engine, from its set-up to the first fault of its own database. Positions and index live as long.</summary>
/// <param name="Handshake">What peers are told and asked.</param>
/// <param name="Progress">The positions.</param>
/// <param name="Capture">The log's reader.</param>
/// <param name="Keys">Who of the apply workers decides about which key.</param>
/// <param name="Quarantine">Which rows wait for a transaction in quarantine.</param>
/// <param name="Losers">Which tables have rows that lost a unique value.</param>
/// <param name="InOrder">Transactions whose writes are performed one by one.</param>
/// <param name="Looking">Transactions that are not written without a look at the rows.</param>
/// <param name="Ended">Cancelled when this life ends: connections that it serves end with it.</param>
internal sealed record NodeRun(Handshake Handshake, ReplicationProgress Progress, ChangeCapture Capture, KeyGate Keys, QuarantineRegister Quarantine, UniqueLosers Losers, OriginPositions InOrder, OriginPositions Looking, CancellationToken Ended)
{
    /// <summary>The members other than this node, those among them that are being parted.</summary>
    public required IReadOnlyList<Member> Members { get; set; }

    /// <summary>Those that were members, and are no more.</summary>
    public required IReadOnlyList<Member> Parted { get; init; }

    /// <summary>For each member that is being parted, how that goes.</summary>
    public required IReadOnlyDictionary<NodeName, Parting> Partings { get; init; }

    /// <summary>The snapshots that are held for nodes that join.</summary>
    public OpenSnapshots Snapshots { get; } = new();

    /// <summary>Set once the members have changed: this life ends then, and the next one knows them.</summary>
    public TaskCompletionSource MembersChanged { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
