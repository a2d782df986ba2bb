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

        var first = true;
        while (true)
        {
            var now = await session.ReadServerTimeAsync(cancellationToken);
            if (IsPast(now, stamp)) break;
            var ahead = TimeSpan.FromMicroseconds(stamp.Microseconds - now.Microseconds + 1);
            if (first) LastWait = ahead;
            first = false;
            // Woken at least every second: the server's clock may be set meanwhile.
            await Task.Delay(ahead < TimeSpan.FromSeconds(1) ? ahead : TimeSpan.FromSeconds(1), timeProvider, cancellationToken);
        }

        if (first) LastWait = TimeSpan.Zero;
    }

    private static bool IsPast(CommitTimestamp now, CommitTimestamp stamp) =>
        now > stamp || (now == stamp && Safeguards.IsOff(Safeguard.StrictApplyWait)) || Safeguards.IsOff(Safeguard.ApplyWait);
}
