using System.Diagnostics;

namespace ActiveActive.Postgres.Tests.Capture;

/// <summary>Asks a server until it agrees; slots send no signal when they move. The failure says what was missing.</summary>
internal static class ServerCondition
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    public static async Task AwaitAsync(string condition, Func<Task<bool>> holds)
    {
        var waited = Stopwatch.StartNew();
        while (!await holds())
        {
            Assert.True(waited.Elapsed < Limit, $"Not within {Limit.TotalSeconds} s: {condition}.");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }
}
