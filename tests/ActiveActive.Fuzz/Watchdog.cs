namespace ActiveActive.Fuzz;

/// <summary>Ends the program where an input does not end: a thread that computes can't be stopped from outside.</summary>
internal sealed class Watchdog : IDisposable
{
    // Far more than any input takes, also where the machine does other things.
    private static readonly TimeSpan s_budget = TimeSpan.FromSeconds(20);

    private readonly Action<FuzzInput> _onHang;
    private readonly Timer _timer;
    private FuzzInput? _running;
    private FuzzInput? _seen;

    public Watchdog(Action<FuzzInput> onHang)
    {
        _onHang = onHang;
        _timer = new Timer(_ => Look(), null, s_budget, s_budget);
    }

    public void Begin(FuzzInput input) => Volatile.Write(ref _running, input);

    public void End() => Volatile.Write(ref _running, null);

    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        var running = Volatile.Read(ref _running);
        if (running is not null && ReferenceEquals(running, _seen)) _onHang(running);
        _seen = running;
    }
}
