namespace ActiveActive.Transport;

/// <summary>Sends what is read from the log again, with a sign of life where that takes long.</summary>
internal static class LogSender
{
    private const int EntriesPerFlush = 256;
    private static readonly TimeSpan s_ping = TimeSpan.FromSeconds(5);

    /// <param name="frames">Where to.</param>
    /// <param name="transactions">What is read.</param>
    /// <param name="isEnough">Told what was written; true ends it.</param>
    /// <param name="cancellationToken">Ends it with an exception.</param>
    public static async Task SendAsync(
        FrameConnection frames, IAsyncEnumerable<EncodedTransaction> transactions, Func<EncodedTransaction, bool> isEnough, CancellationToken cancellationToken)
    {
        await using var entries = transactions.GetAsyncEnumerator(cancellationToken);
        var unflushed = 0;
        while (true)
        {
            var next = entries.MoveNextAsync().AsTask();
            if (unflushed >= EntriesPerFlush || (unflushed > 0 && !next.IsCompleted))
            {
                await frames.FlushAsync(cancellationToken);
                unflushed = 0;
            }

            while (await Task.WhenAny(next, Task.Delay(s_ping, cancellationToken)) != next)
            {
                cancellationToken.ThrowIfCancellationRequested();
                await frames.WriteAsync(new PingFrame(), cancellationToken);
                await frames.FlushAsync(cancellationToken);
            }

            if (!await next) break;
            await frames.WriteAsync(entries.Current, cancellationToken);
            unflushed++;
            if (isEnough(entries.Current)) break;
        }

        await frames.FlushAsync(cancellationToken);
    }
}
