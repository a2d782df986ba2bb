using ActiveActive.Changes;
using ActiveActive.Simulation.Time;
using ActiveActive.Transport;

namespace ActiveActive.Simulation.Cluster;

/// <summary>Leaves the bytes out: the modelled network carries the transactions themselves.</summary>
internal sealed class SimulatedEncoder(SimulatedNode node, SimulatedCluster cluster)
    : TransactionEncoder(int.MaxValue, cluster.Routes, [.. cluster.Nodes.Where(n => n != node).Select(n => n.Name)])
{
    /// <summary>What an entry counts in the change log.</summary>
    public const int EntryBytes = 100;

    private static readonly ReadOnlyMemory<byte> s_bytes = new byte[EntryBytes];

    protected override EncodedTransaction EncodeWhole(ChangeTransaction transaction)
    {
        if (!transaction.IsHeartbeat && transaction.Origin == node.Name) cluster.History.Publish(node.Index, (ulong)transaction.Position, NodeClock.Since(transaction.Stamp));
        return new CarriedTransaction
        {
            Transaction = transaction,
            Origin = transaction.Origin,
            Position = transaction.Position,
            Part = transaction.Part,
            IsLastPart = transaction.IsLastPart,
            IsHeartbeat = transaction.IsHeartbeat,
            FrameBytes = s_bytes,
            Relations = [],
        };
    }
}

internal sealed class CarriedTransaction : EncodedTransaction
{
    public required ChangeTransaction Transaction { get; init; }
}
