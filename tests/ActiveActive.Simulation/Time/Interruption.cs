namespace ActiveActive.Simulation.Time;

/// <summary>Moments in which others may go on.</summary>
internal static class Interruption
{
    public static ValueTask PauseAsync(EventLoop loop, int mostMicroseconds, IPauseGuard? guard = null)
    {
        var draw = loop.Random.Next(100);
        if (draw >= loop.InterruptPercent) return default;
        // One interruption of four lasts; the others only let go first what is ready.
        return draw % 4 == 0 ? loop.PauseUntil(loop.Now + loop.Random.Between(1, mostMicroseconds), guard) : loop.PauseUntil(Pause.AtOnce, guard);
    }
}
