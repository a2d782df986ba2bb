using System.Diagnostics;

namespace ActiveActive.Postgres.Tests.Servers;

/// <summary>Awaits a condition; the failure says what was missing.</summary>
internal static class Deadline
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    public static async Task AwaitAsync(string condition, Func<bool> holds)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (!holds())
        {
            Assert.True(waited.Elapsed < Limit, $"Not within {Limit.TotalSeconds} s: {condition}.");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }
}
