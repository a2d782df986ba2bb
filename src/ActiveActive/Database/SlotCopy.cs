namespace ActiveActive.Database;

/// <summary>What a copy of the node's slot is made for.</summary>
/// <param name="Peer">Whom it serves.</param>
/// <param name="Relayed">
/// Another node, whose transactions are read as this one received them (<see cref="CapturedTransaction.Received"/>); default to read this
/// node's own.
/// </param>
/// <param name="IsWithApplied">Whether the rows that other nodes' transactions wrote here are read, too.</param>
internal sealed record SlotCopy(NodeName Peer, NodeName Relayed = default, bool IsWithApplied = false);
