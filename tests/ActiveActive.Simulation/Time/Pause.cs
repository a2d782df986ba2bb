using System.Threading.Tasks.Sources;

namespace ActiveActive.Simulation.Time;

/// <summary>Looked at after a pause: what waited may have lost what it waits for.</summary>
internal interface IPauseGuard
{
    void ThrowIfCut();
}

/// <summary>One wait on the event loop, used again and again: most steps of a simulation are the end of one.</summary>
internal sealed class Pause(EventLoop loop) : IValueTaskSource
{
    public const long AtOnce = -1;

    private long _due;
    private short _token;
    private bool _isOver;
    private IPauseGuard? _guard;
    private Action<object?>? _continuation;
    private object? _state;

    public ValueTask Begin(long due, IPauseGuard? guard)
    {
        _due = due;
        _guard = guard;
        _isOver = false;
        return new ValueTask(this, _token);
    }

    public ValueTaskSourceStatus GetStatus(short token) => _isOver ? ValueTaskSourceStatus.Succeeded : ValueTaskSourceStatus.Pending;

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        (_continuation, _state) = (continuation, state);
        if (_due == AtOnce) loop.Continue(static pause => ((Pause)pause!).End(), this);
        else loop.At(_due, static pause => ((Pause)pause!).End(), this);
    }

    public void GetResult(short token)
    {
        var guard = _guard;
        _guard = null;
        _token++;
        loop.Return(this);
        guard?.ThrowIfCut();
    }

    private void End()
    {
        var (continuation, state) = (_continuation!, _state);
        (_continuation, _state) = (null, null);
        _isOver = true;
        continuation(state);
    }
}
