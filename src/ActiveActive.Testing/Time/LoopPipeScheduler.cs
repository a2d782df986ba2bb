using System.IO.Pipelines;

namespace ActiveActive.Testing.Time;

/// <summary>Runs the continuations of pipes on a cluster's loop.</summary>
internal sealed class LoopPipeScheduler(ClusterLoop loop) : PipeScheduler
{
    public override void Schedule(Action<object?> action, object? state) => loop.Post(new SendOrPostCallback(action), state);
}
