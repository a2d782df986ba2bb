namespace ActiveActive.Database;

/// <summary>What a copy of the node's slot is made for.</summary>
/// <param name="Peer">Whom it serves.</param>
/// <param name="Relayed">
/// Another node, whose transactions are read as this one received them (<see cref="CapturedTransaction.Received"/>); default to read this
/// node's own.
/// </param>
internal sealed record SlotCopy(NodeName Peer, NodeName Relayed = default);
