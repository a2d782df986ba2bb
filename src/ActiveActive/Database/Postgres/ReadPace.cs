namespace ActiveActive.Database.Postgres;

/// <summary>
/// Lets messages gather where they come in quickly. The walsender sends each by itself; a reader that waits for the next one is woken for each, which costs both sides more than the message.
/// Where they come slowly, nothing is delayed.
/// </summary>
/// <param name="timeProvider">Tells how quickly they come in.</param>
internal sealed class ReadPace(TimeProvider timeProvider)
{
    // Far above what single transactions at thousands per second come to.
    private const int QuickPerMillisecond = 40;

    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_window = TimeSpan.FromMilliseconds(5);

    private long _since = timeProvider.GetTimestamp();
    private int _messages;
    private bool _hasWaited;

    /// <summary>To be awaited before the next message is asked for.</summary>
    public Task PauseAsync(CancellationToken cancellationToken)
    {
        if (!_hasWaited) return Task.CompletedTask;
        _hasWaited = false;
        var elapsed = timeProvider.GetElapsedTime(_since);
        var isQuick = _messages >= QuickPerMillisecond && _messages >= elapsed.TotalMilliseconds * QuickPerMillisecond;
        if (!isQuick && elapsed < s_window) return Task.CompletedTask;
        _since = timeProvider.GetTimestamp();
        _messages = 0;
        return isQuick ? Task.Delay(s_pause, timeProvider, cancellationToken) : Task.CompletedTask;
    }

    /// <param name="isThere">Whether the message was there when it was asked for.</param>
    public void Read(bool isThere)
    {
        _messages++;
        _hasWaited |= !isThere;
    }
}
