using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>
/// A counter-example of convergence.md as a history on the in-memory cluster: it ends as it must, and does not where its rule is switched off.
/// In comments <c>A:I k(5)</c> is an insert of k at A with stamp 5, U an update, D a delete, T a truncate. What a test writes one after the
/// other has ascending stamps where no clock is off, and is concurrent until it waits for the cluster.
/// </summary>
/// <remarks>
/// The switch is the process's: these tests run while no other does.
/// </remarks>
[CollectionDefinition(Collection, DisableParallelization = true)]
public sealed class PinnedHistory
{
    public const string Collection = "Pinned histories";

    internal static async Task AssertAsync(Safeguard safeguard, Func<Task> history)
    {
        await history();
        Exception? red;
        Safeguards.SwitchOff(safeguard);
        try
        {
            red = await Record.ExceptionAsync(history);
        }
        finally
        {
            Safeguards.SwitchOff(Safeguard.None);
        }

        // Only a wrong end is what the rule prevents; a fault of another kind would show nothing of it.
        Assert.True(red is ConvergenceException or Xunit.Sdk.XunitException, $"Without {safeguard} the history ended {(red is null ? "as it must: it does not show the rule." : $"with {red}")}");
    }

    internal static Task AssertAsync(Safeguard safeguard, int nodes, Func<InMemoryCluster, Task> history) => AssertAsync(safeguard, async () =>
    {
        await using var cluster = await TestTables.StartAsync([.. Enumerable.Range(0, nodes).Select(i => $"{(char)('a' + i)}")]);
        await history(cluster);
    });
}
