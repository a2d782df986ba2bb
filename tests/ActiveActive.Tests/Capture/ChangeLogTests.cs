using ActiveActive.Capture;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Tests.Capture;

public sealed class ChangeLogTests
{
    [Fact]
    public async Task Reader_gets_what_is_appended_after_its_position_and_is_woken()
    {
        var log = new ChangeLog(new(1), 1000);
        log.Append(Entry(10));
        log.Append(Entry(20));
        Assert.True(log.TryOpenCursor(new(10), out var cursor));
        Assert.Equal([20UL], Read(log, ref cursor, out var appended));
        Assert.False(appended.IsCompleted);
        log.Append(Entry(30));
        await appended;
        Assert.Equal([30UL], Read(log, ref cursor, out _));
        Assert.Equal(new(30), log.LastPosition);
    }

    [Fact]
    public void Cursor_opens_at_the_beginning_of_a_transaction_of_several_parts()
    {
        var log = new ChangeLog(new(1), 1000);
        log.Append(Entry(10));
        log.Append(Entry(20, part: 0, isLast: false));
        log.Append(Entry(20, part: 1));
        Assert.True(log.TryOpenCursor(new(15), out var cursor));
        Assert.Equal([20UL, 20UL], Read(log, ref cursor, out _));
    }

    [Fact]
    public void Oldest_entries_go_when_the_log_is_full_and_a_reader_that_needs_them_is_told()
    {
        var log = new ChangeLog(new(1), 100);
        Assert.True(log.TryOpenCursor(default, out var slow));
        for (var i = 1; i <= 1000; i++) log.Append(Entry((ulong)i * 10));
        Assert.True(log.Bytes <= 100);
        Assert.False(log.TryRead(ref slow, 10, [], out _));
        Assert.False(log.TryOpenCursor(new(500), out _));
        Assert.Equal(new(9901), log.FloorPosition);
        // Nothing lies between a commit record and the next byte: who has 9900 needs nothing that is gone.
        Assert.True(log.TryOpenCursor(new(9900), out var cursor));
        Assert.Equal(Enumerable.Range(991, 10).Select(i => (ulong)i * 10), Read(log, ref cursor, out _));
    }

    [Fact]
    public void One_entry_larger_than_the_log_is_kept()
    {
        var log = new ChangeLog(new(1), 5);
        log.Append(Entry(10));
        log.Append(Entry(20));
        Assert.True(log.TryOpenCursor(new(10), out var cursor));
        Assert.Equal([20UL], Read(log, ref cursor, out _));
    }

    [Fact]
    public void Dropped_heartbeat_moves_no_floor()
    {
        var log = new ChangeLog(new(1), 10);
        log.Append(Entry(10, isHeartbeat: true));
        log.Append(Entry(10, isHeartbeat: true));
        log.Append(Entry(20));
        Assert.Equal(new(1), log.FloorPosition);
        Assert.True(log.TryOpenCursor(default, out var cursor));
        Assert.Equal([20UL], Read(log, ref cursor, out _));
    }

    [Fact]
    public void Reader_whose_next_entries_were_dropped_heartbeats_reads_on()
    {
        var log = new ChangeLog(new(1), 20);
        log.Append(Entry(10));
        log.Append(Entry(10, isHeartbeat: true));
        Assert.True(log.TryOpenCursor(new(10), out var cursor));
        for (var i = 0; i < 5; i++) log.Append(Entry(10, isHeartbeat: true));
        Assert.Equal([10UL, 10UL], Read(log, ref cursor, out _));
    }

    private static List<ulong> Read(ChangeLog log, ref LogCursor cursor, out Task appended)
    {
        var entries = new List<EncodedTransaction>();
        Assert.True(log.TryRead(ref cursor, 100, entries, out var signal));
        appended = signal;
        return [.. entries.Select(e => (ulong)e.Position)];
    }

    private static EncodedTransaction Entry(ulong position, int part = 0, bool isLast = true, bool isHeartbeat = false) => new()
    {
        Origin = new NodeName("a"), Position = new NpgsqlLogSequenceNumber(position), Part = part, IsLastPart = isLast, IsHeartbeat = isHeartbeat, FrameBytes = new byte[10], Relations = [],
    };
}
