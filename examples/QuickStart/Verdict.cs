namespace QuickStart;

/// <summary>How a run ended.</summary>
/// <param name="Nodes">How many nodes were compared.</param>
/// <param name="Conflicts">
/// Entries of <c>active_active.conflict</c>, added up over all nodes. A conflict is recorded on each node that met it: two writes that
/// collide are met by both writers' nodes and, where they arrive one after the other, by every third node.
/// </param>
/// <param name="Differences">Tables that differ between two nodes.</param>
/// <param name="Lost">Acknowledged writes that a node neither shows, nor superseded, nor recorded; and balances that are off.</param>
/// <param name="Wrong">What stands somewhere and should not.</param>
internal sealed record Verdict(int Nodes, long Conflicts, int Differences, int Lost, int Wrong)
{
    public int ExitCode => Differences + Lost + Wrong == 0 ? QuickStartExit.Converged : QuickStartExit.Differs;

    /// <summary>The program's last line.</summary>
    public override string ToString() => ExitCode == QuickStartExit.Converged
        ? $"converged: {Nodes} nodes identical, {Conflicts} conflicts recorded, {Lost} lost"
        : $"FAILED: {Nodes} nodes with {Differences} differences, {Conflicts} conflicts recorded, {Lost} lost, {Wrong} wrong";
}
