namespace ActiveActive.Transport;

/// <summary>Sends what is read from the log again, with a sign of life where that takes long.</summary>
internal static class LogSender
{
    private const int EntriesPerFlush = 256;
    private static readonly TimeSpan s_ping = TimeSpan.FromSeconds(5);

    /// <param name="frames">Where to.</param>
    /// <param name="transactions">What is read.</param>
    /// <param name="isEnough">Told what is written next; true ends it with that.</param>
    /// <param name="cancellationToken">Ends it with an exception.</param>
    public static async Task SendAsync(
        FrameConnection frames, IAsyncEnumerable<EncodedTransaction> transactions, Func<EncodedTransaction, bool> isEnough, CancellationToken cancellationToken)
    {
        await using var entries = transactions.GetAsyncEnumerator(cancellationToken);
        var block = new EncodedBlock();
        var unflushed = 0;
        while (true)
        {
            var next = entries.MoveNextAsync().AsTask();
            if (block.IsWhole || (unflushed > 0 && !next.IsCompleted)) block = await WriteAsync(frames, block, cancellationToken);
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
            if (!block.TryAdd(entries.Current)) (block = await WriteAsync(frames, block, cancellationToken)).TryAdd(entries.Current);
            unflushed++;
            if (isEnough(entries.Current)) break;
        }

        await WriteAsync(frames, block, cancellationToken);
        await frames.FlushAsync(cancellationToken);
    }

    /// <summary>Writes a block and begins the next.</summary>
    private static async ValueTask<EncodedBlock> WriteAsync(FrameConnection frames, EncodedBlock block, CancellationToken cancellationToken)
    {
        block.Complete();
        for (var i = 0; i < block.Transactions.Count;) i = await frames.WriteNextAsync(block.Transactions, i, cancellationToken);
        return new EncodedBlock();
    }
}
