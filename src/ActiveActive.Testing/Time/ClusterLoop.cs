namespace ActiveActive.Testing.Time;

/// <summary>
/// The one thread of an in-memory cluster, and its time. It goes on only while someone waits for the cluster (a <see cref="Drive"/>): then it
/// runs whatever is ready, and when all is at rest, time jumps to the next timer. So nobody ever sleeps, and nothing happens behind a
/// test's back. A look at a clock takes a microsecond, so that no two commits have the same stamp by chance.
/// </summary>
internal sealed class ClusterLoop : SynchronizationContext, IDisposable
{
    private const long MostStalledMilliseconds = 120_000;

    // So much faster than the real clock time passes at the most.
    private const double Speed = 200;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private readonly object _gate = new();
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _ready = new();
    private readonly PriorityQueue<(LoopTimer Timer, int Version), (long Due, long Sequence)> _timers = new();
    private readonly List<Drive> _drives = [];
    private readonly AutoResetEvent _poolCameBy = new(initialState: false);
    private readonly Thread _thread;
    private long _now;
    private long _sequence;
    private int _steps;
    private bool _isOver;

    public ClusterLoop() => _thread = new Thread(Run) { IsBackground = true, Name = "ActiveActive in-memory cluster" };

    /// <summary>Ticks since the cluster's beginning.</summary>
    public long Now => Interlocked.Read(ref _now);

    /// <summary>A look at the time; see the type.</summary>
    public long Look() => Interlocked.Add(ref _now, TimeSpan.TicksPerMicrosecond);

    public override SynchronizationContext CreateCopy() => this;

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("Nothing in an in-memory cluster blocks.");

    public override void Post(SendOrPostCallback d, object? state)
    {
        lock (_gate)
        {
            if (!_isOver)
            {
                _ready.Enqueue((d, state));
                Monitor.Pulse(_gate);
                return;
            }
        }

        // A latecomer after the end, such as a timer of the system's: it only has to finish.
        ThreadPool.UnsafeQueueUserWorkItem(static work => work.d(work.state), (d, state), preferLocal: false);
    }

    /// <summary>Lets the cluster go on until a condition holds. The condition is looked at whenever all is at rest.</summary>
    /// <param name="start">Runs on the loop before anything else does, and is followed by a first look at the condition.</param>
    /// <param name="isReached">The condition; called on the loop.</param>
    /// <param name="timeout">In the cluster's time.</param>
    /// <param name="cancellationToken">Ends the wait; looked at when all is at rest.</param>
    /// <returns>False where the time was over first.</returns>
    public Task<bool> DriveAsync(Action? start, Func<bool> isReached, TimeSpan timeout, CancellationToken cancellationToken) =>
        AddAsync(new Drive(start, isReached, Now + timeout.Ticks, cancellationToken));

    /// <summary>Lets the cluster go on for a stretch of its time.</summary>
    public Task PassAsync(TimeSpan time, CancellationToken cancellationToken) =>
        AddAsync(new Drive(null, static () => false, Now + time.Ticks, cancellationToken) { ExpectsDeadline = true });

    private Task<bool> AddAsync(Drive drive)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isOver, typeof(InMemoryCluster));
            _drives.Add(drive);
            if (_thread.ThreadState.HasFlag(ThreadState.Unstarted)) _thread.Start();
            Monitor.Pulse(_gate);
        }

        return drive.Task;
    }

    /// <summary>Makes a timer due; entries of an older version are void.</summary>
    public void Arm(LoopTimer timer, int version, TimeSpan dueTime)
    {
        lock (_gate) _timers.Enqueue((timer, version), (Now + Math.Max(0, dueTime.Ticks), _sequence++));
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_isOver) return;
            _isOver = true;
            Monitor.Pulse(_gate);
            if (_thread.ThreadState.HasFlag(ThreadState.Unstarted)) return;
        }

        _thread.Join();
        _poolCameBy.Dispose();
    }

    private void Run()
    {
        SetSynchronizationContext(this);
        while (WaitUntilDriven())
        {
            try
            {
                Step();
            }
            catch (Exception e)
            {
                FinishAll(drive => drive.TrySetException(e));
            }
        }

        FinishAll(static drive => drive.TrySetException(new ObjectDisposedException(nameof(InMemoryCluster))));
        while (_ready.TryDequeue(out var late)) ThreadPool.UnsafeQueueUserWorkItem(static work => work.Callback(work.State), late, preferLocal: false);
    }

    private bool WaitUntilDriven()
    {
        lock (_gate)
        {
            while (!_isOver && _drives.Count == 0) Monitor.Wait(_gate);
            return !_isOver;
        }
    }

    private void Step()
    {
        Drive? starting;
        (SendOrPostCallback Callback, object? State) work = default;
        lock (_gate)
        {
            starting = _drives.Find(static d => d.Start is not null);
            if (starting is null) _ready.TryDequeue(out work);
        }

        if (starting is not null)
        {
            var start = starting.Start!;
            starting.Start = null;
            start();
            FinishReached(starting);
        }
        else if (work.Callback is not null)
        {
            work.Callback(work.State);
            if ((++_steps & 0xfff) == 0) FailStalled();
        }
        else
        {
            Rest();
        }
    }

    private void Rest()
    {
        Drive[] drives;
        lock (_gate) drives = [.. _drives];
        foreach (var drive in drives) FinishReached(drive);

        // What the engine handed to the thread pool (the callbacks of a cancellation) comes before a jump in time: the pool takes what it
        // is given in turn, and twice is for what was taken and is not done yet. On a busy machine that can fail, hence the pace below.
        for (var i = 0; i < 2; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static signal => signal.Set(), _poolCameBy, preferLocal: false);
            _poolCameBy.WaitOne();
        }

        LoopTimer? due;
        lock (_gate)
        {
            if (HasWork()) return;
            var deadline = _drives.Min(static d => d.Deadline);
            if (Monitor.Wait(_gate, PaceUntil(deadline)) || HasWork()) return;
            due = TakeNextTimer(deadline);
        }

        if (due is not null) due.Fire();
        else FinishAll(drive => drive.Deadline <= Now && drive.TrySetResult(false));
    }

    private bool HasWork() => _isOver || _drives.Count == 0 || _ready.Count > 0 || _drives.Exists(static d => d.Start is not null);

    /// <summary>
    /// How long the next jump in time waits for a latecomer, in milliseconds of the real clock; the first one ends the wait. A jump to the end of
    /// a wait that would fail waits longer: nobody shall fail because the machine was busy. Under the gate.
    /// </summary>
    private int PaceUntil(long deadline)
    {
        while (_timers.TryPeek(out var next, out _) && next.Timer.Version != next.Version) _timers.Dequeue();
        var isLast = !_timers.TryPeek(out _, out var at) || at.Due > deadline;
        var jump = new TimeSpan(Math.Max(0, (isLast ? deadline : at.Due) - Now)) / Speed;
        if (isLast && _drives.Exists(d => d.Deadline == deadline && !d.ExpectsDeadline)) jump += s_patience;
        return (int)Math.Min(jump.TotalMilliseconds, s_patience.TotalMilliseconds * 2);
    }

    /// <summary>Moves the time to the next timer, or to the deadline where none comes before it. Under the gate.</summary>
    private LoopTimer? TakeNextTimer(long deadline)
    {
        while (_timers.TryPeek(out var next, out var at))
        {
            if (next.Timer.Version == next.Version)
            {
                if (at.Due > deadline) break;
                _timers.Dequeue();
                MoveTo(at.Due);
                return next.Timer;
            }

            _timers.Dequeue();
        }

        MoveTo(deadline);
        return null;
    }

    /// <summary>Never back, whoever looks at the time meanwhile.</summary>
    private void MoveTo(long ticks)
    {
        for (var now = Now; now < ticks; now = Now) Interlocked.CompareExchange(ref _now, ticks, now);
    }

    private void FinishReached(Drive drive)
    {
        try
        {
            if (drive.CancellationToken.IsCancellationRequested) drive.TrySetCanceled(drive.CancellationToken);
            else if (drive.IsReached()) drive.TrySetResult(true);
            else return;
        }
        catch (Exception e)
        {
            drive.TrySetException(e);
        }

        lock (_gate) _drives.Remove(drive);
    }

    /// <summary>A cluster that never rests never looks at its conditions: after a long time of the real clock, that is an error.</summary>
    private void FailStalled() => FinishAll(static drive => Environment.TickCount64 - drive.StartedAt > MostStalledMilliseconds
        && drive.TrySetException(new TimeoutException($"The in-memory cluster did not come to rest within {MostStalledMilliseconds / 1000} s.")));

    private void FinishAll(Predicate<Drive> finish)
    {
        lock (_gate) _drives.RemoveAll(finish);
    }

    /// <summary>Someone who waits for the cluster; completes outside of the loop.</summary>
    private sealed class Drive(Action? start, Func<bool> isReached, long deadline, CancellationToken cancellationToken)
        : TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public Action? Start { get; set; } = start ?? (static () => { });

        public Func<bool> IsReached => isReached;

        public long Deadline => deadline;

        /// <summary>Whether the end of the time is what it waits for.</summary>
        public bool ExpectsDeadline { get; init; }

        public CancellationToken CancellationToken => cancellationToken;

        public long StartedAt { get; } = Environment.TickCount64;
    }
}
