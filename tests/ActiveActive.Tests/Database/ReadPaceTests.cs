using ActiveActive.Database.Postgres;
using Microsoft.Extensions.Time.Testing;

namespace ActiveActive.Tests.Database;

public sealed class ReadPaceTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Single_messages_are_never_delayed()
    {
        var pace = new ReadPace(_time);
        for (var i = 0; i < 1000; i++)
        {
            Assert.True(pace.PauseAsync(default).IsCompleted);
            pace.Read(isThere: false);
            _time.Advance(TimeSpan.FromMicroseconds(50));
        }
    }

    [Fact]
    public void What_is_there_is_never_delayed()
    {
        var pace = new ReadPace(_time);
        for (var i = 0; i < 1000; i++)
        {
            Assert.True(pace.PauseAsync(default).IsCompleted);
            pace.Read(isThere: true);
        }
    }

    [Fact]
    public void Quick_ones_gather_for_a_moment()
    {
        var pace = new ReadPace(_time);
        for (var i = 0; i < 40; i++)
        {
            Assert.True(pace.PauseAsync(default).IsCompleted);
            pace.Read(isThere: false);
            _time.Advance(TimeSpan.FromMicroseconds(10));
        }

        var pause = pace.PauseAsync(default);
        Assert.False(pause.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(pause.IsCompleted);
        Assert.True(pace.PauseAsync(default).IsCompleted);
    }

    [Fact]
    public void Burst_after_a_long_silence_gathers_too()
    {
        var pace = new ReadPace(_time);
        _time.Advance(TimeSpan.FromMinutes(1));
        var pauses = 0;
        for (var i = 0; i < 100; i++)
        {
            if (!pace.PauseAsync(default).IsCompleted) pauses++;
            pace.Read(isThere: false);
            _time.Advance(TimeSpan.FromMicroseconds(10));
        }

        Assert.Equal(2, pauses);
    }
}
