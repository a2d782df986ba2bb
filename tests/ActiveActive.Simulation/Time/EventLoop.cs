namespace ActiveActive.Simulation.Time;

/// <summary>
/// The one thread of a simulation: continuations that are ready, run in an order drawn from the seed, and timers in simulated
/// microseconds. A continuation that comes from another thread has escaped; then nothing repeats, and the run fails.
/// </summary>
internal sealed class EventLoop(SeededRandom random) : SynchronizationContext
{
    private readonly List<(SendOrPostCallback Callback, object? State)> _ready = [];
    private readonly PriorityQueue<(Action Action, LoopTimer? Timer, int Version), (long Due, long Sequence)> _timers = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private long _sequence;
    private volatile string? _escaped;

    /// <summary>Simulated microseconds.</summary>
    public long Now { get; private set; }

    public long Steps { get; private set; }

    public SeededRandom Random => random;

    /// <summary>Where a continuation came from that ran on another thread; null where none did.</summary>
    public string? Escaped => _escaped;

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (Environment.CurrentManagedThreadId != _thread)
        {
            _escaped ??= Environment.StackTrace;
            return;
        }

        _ready.Add((d, state));
    }

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("Nothing in a simulation blocks.");

    public override SynchronizationContext CreateCopy() => this;

    public void At(long due, Action action) => _timers.Enqueue((action, null, 0), (Math.Max(due, Now), _sequence++));

    public void At(long due, LoopTimer timer, int version) => _timers.Enqueue((timer.Fire, timer, version), (Math.Max(due, Now), _sequence++));

    public Task Delay(long microseconds)
    {
        var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        At(Now + microseconds, () => source.TrySetResult());
        return source.Task;
    }

    /// <summary>Runs until the condition holds; false where the steps or the simulated time ran out, or nothing was left to do.</summary>
    public bool Run(Func<bool> until, long mostSteps, long deadline)
    {
        var previous = Current;
        SetSynchronizationContext(this);
        try
        {
            while (!until())
            {
                if (_escaped is not null || Steps++ > mostSteps || Now > deadline || !Step()) return false;
            }

            return true;
        }
        finally
        {
            SetSynchronizationContext(previous);
        }
    }

    private bool Step()
    {
        if (_ready.Count > 0)
        {
            var at = random.Next(_ready.Count);
            var (callback, state) = _ready[at];
            _ready[at] = _ready[^1];
            _ready.RemoveAt(_ready.Count - 1);
            callback(state);
            return true;
        }

        while (_timers.TryDequeue(out var entry, out var at))
        {
            if (entry.Timer is { } timer && timer.Version != entry.Version) continue;
            Now = at.Due;
            entry.Action();
            return true;
        }

        return false;
    }
}
