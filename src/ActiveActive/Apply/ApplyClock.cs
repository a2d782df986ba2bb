using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Apply;

/// <summary>
/// Apply-wait (convergence R4): a transaction is applied only when the local database server's clock is strictly past its stamp.
/// Then every local write over a received row has the later stamp.
/// </summary>
internal sealed class ApplyClock(TimeProvider timeProvider)
{
    public TimeProvider TimeProvider => timeProvider;

    /// <summary>How far ahead of the local server's clock the last transaction was when it arrived; zero where it was not.</summary>
    public TimeSpan LastWait { get; private set; }

    public async ValueTask WaitUntilPastAsync(CommitTimestamp stamp, IApplySession session, CancellationToken cancellationToken)
    {
        if (IsPast(session.ServerTime, stamp))
        {
            LastWait = TimeSpan.Zero;
            return;
        }

        await WaitUntilPastAsync(stamp, session.ReadServerTimeAsync, cancellationToken);
    }

    /// <param name="stamp">The stamp.</param>
    /// <param name="readServerTime">Reads the server's clock.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async ValueTask WaitUntilPastAsync(CommitTimestamp stamp, Func<CancellationToken, ValueTask<CommitTimestamp>> readServerTime, CancellationToken cancellationToken)
    {
        var first = true;
        while (true)
        {
            var now = await readServerTime(cancellationToken);
            if (IsPast(now, stamp)) break;
            var ahead = TimeSpan.FromMicroseconds(stamp.Microseconds - now.Microseconds + 1);
            if (first) LastWait = ahead;
            first = false;
            // Woken at least every second: the server's clock may be set meanwhile. Whole milliseconds, as Task.Delay takes a part of one for nothing, and time that a test owns would not pass.
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Clamp(Math.Ceiling(ahead.TotalMilliseconds), 1, 1000)), timeProvider, cancellationToken);
        }

        if (first) LastWait = TimeSpan.Zero;
    }

    private static bool IsPast(CommitTimestamp now, CommitTimestamp stamp) =>
        now > stamp || (now == stamp && Safeguards.IsOff(Safeguard.StrictApplyWait)) || Safeguards.IsOff(Safeguard.ApplyWait);
}
