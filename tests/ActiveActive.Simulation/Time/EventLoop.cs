namespace ActiveActive.Simulation.Time;

/// <summary>
/// The one thread of a simulation: continuations that are ready, run in an order drawn from the seed, and timers in simulated
/// microseconds. A continuation that comes from another thread has escaped; then nothing repeats, and the run fails.
/// </summary>
/// <param name="random">The one source of chance.</param>
/// <param name="interruptPercent">How often others may go on where a call could take its time.</param>
internal sealed class EventLoop(SeededRandom random, int interruptPercent = 50) : SynchronizationContext
{
    private static readonly Action<object?> s_invoke = static action => ((Action)action!)();

    private readonly List<Ready> _ready = [];
    private readonly PriorityQueue<Timed, (long Due, long Sequence)> _timers = new();
    private readonly Stack<Pause> _pauses = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private long _sequence;
    private volatile string? _escaped;

    /// <summary>Simulated microseconds.</summary>
    public long Now { get; private set; }

    public long Steps { get; private set; }

    public SeededRandom Random => random;

    public int InterruptPercent => interruptPercent;

    /// <summary>Where a continuation came from that ran on another thread; null where none did.</summary>
    public string? Escaped => _escaped;

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (Environment.CurrentManagedThreadId != _thread)
        {
            _escaped ??= Environment.StackTrace;
            return;
        }

        _ready.Add(new Ready(null, d, state));
    }

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("Nothing in a simulation blocks.");

    public override SynchronizationContext CreateCopy() => this;

    public void At(long due, Action action) => At(due, s_invoke, action);

    public void At(long due, LoopTimer timer, int version) => _timers.Enqueue(new Timed(LoopTimer.Fired, timer, version), (Math.Max(due, Now), _sequence++));

    public void At(long due, Action<object?> callback, object? state) => _timers.Enqueue(new Timed(callback, state, 0), (Math.Max(due, Now), _sequence++));

    public ValueTask Delay(long microseconds) => PauseUntil(Now + microseconds, null);

    /// <param name="due">When it ends; <see cref="Pause.AtOnce"/> for among what is ready now.</param>
    /// <param name="guard">Looked at when the wait is over, and may throw then.</param>
    public ValueTask PauseUntil(long due, IPauseGuard? guard)
    {
        if (!_pauses.TryPop(out var pause)) pause = new Pause(this);
        return pause.Begin(due, guard);
    }

    internal void Return(Pause pause) => _pauses.Push(pause);

    internal void Continue(Action<object?> continuation, object? state) => _ready.Add(new Ready(continuation, null, state));

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
            var ready = _ready[at];
            _ready[at] = _ready[^1];
            _ready.RemoveAt(_ready.Count - 1);
            ready.Run();
            return true;
        }

        while (_timers.TryDequeue(out var entry, out var at))
        {
            if (entry.State is LoopTimer timer && timer.Version != entry.Version) continue;
            Now = at.Due;
            entry.Callback(entry.State);
            return true;
        }

        return false;
    }

    private readonly record struct Timed(Action<object?> Callback, object? State, int Version);

    private readonly record struct Ready(Action<object?>? Continuation, SendOrPostCallback? Posted, object? State)
    {
        public void Run()
        {
            if (Continuation is not null) Continuation(State);
            else Posted!(State);
        }
    }
}
