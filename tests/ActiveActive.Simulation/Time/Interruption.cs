namespace ActiveActive.Simulation.Time;

/// <summary>Moments in which others may go on.</summary>
internal static class Interruption
{
    public static ValueTask PauseAsync(EventLoop loop, int mostMicroseconds) => loop.Random.Next(8) switch
    {
        0 => new(loop.Delay(loop.Random.Between(1, mostMicroseconds))),
        <= 3 => YieldAsync(),
        _ => default,
    };

    private static async ValueTask YieldAsync() => await Task.Yield();
}
