using ActiveActive.Progress;

namespace ActiveActive.Tests.Progress;

public sealed class OwnTransactionsTests
{
    private readonly TransactionIndex _index = new();
    private readonly OwnTransactions _own = new();

    [Fact]
    public void Nothing_is_known_before_a_marker()
    {
        _own.Note(100, _own.Generation);
        Assert.Null(_own.KnownBefore(_index));
        Assert.False(_own.AreAllSince(null, 100));
    }

    [Fact]
    public void Own_ones_and_those_that_capture_has_passed_are_known()
    {
        _index.Pass(new LogMarker(new(10), 100));
        _own.Note(100, _own.Generation);
        _index.Add(101, new(11), CommitTimestamp.Unknown, new RowVersion(CommitTimestamp.Unknown, new NodeName("eu"), new(11)));
        Assert.Equal(102u, _own.KnownBefore(_index));
        Assert.True(_own.AreAllSince(102, 102));
    }

    [Fact]
    public void What_capture_passes_after_the_look_does_not_count()
    {
        _index.Pass(new LogMarker(new(10), 100));
        var known = _own.KnownBefore(_index);
        _own.Note(100, _own.Generation);
        Assert.True(_own.AreAllSince(known, 101));
        _index.Add(101, new(11), CommitTimestamp.Unknown, new RowVersion(CommitTimestamp.Unknown, new NodeName("eu"), new(11)));
        Assert.False(_own.AreAllSince(known, 102));
    }

    [Fact]
    public void Somebody_elses_is_in_the_way_until_a_marker_has_passed_it()
    {
        _index.Pass(new LogMarker(new(10), 100));
        _own.Note(100, _own.Generation);
        _own.Note(102, _own.Generation);
        Assert.False(_own.AreAllSince(_own.KnownBefore(_index), 103));
        _index.Pass(new LogMarker(new(20), 102));
        Assert.True(_own.AreAllSince(_own.KnownBefore(_index), 103));
    }

    [Fact]
    public void Ids_go_on_from_zero()
    {
        _index.Pass(new LogMarker(new(10), uint.MaxValue));
        _own.Note(uint.MaxValue, _own.Generation);
        var known = _own.KnownBefore(_index);
        Assert.Equal(0u, known);
        _own.Note(3, _own.Generation);
        // 0 to 2 are nobody's: a marker must have passed them.
        Assert.False(_own.AreAllSince(known, 4));
    }

    [Fact]
    public void What_was_sent_before_a_new_session_is_not_noted()
    {
        _index.Pass(new LogMarker(new(10), 100));
        var before = _own.Generation;
        _own.Note(100, before);
        _own.Renew();
        _own.Note(101, before);
        // Nor does a marker count that capture had passed before: it may have been another server's.
        Assert.Null(_own.KnownBefore(_index));
        _index.Pass(new LogMarker(new(20), 100));
        Assert.Equal(100u, _own.KnownBefore(_index));
        Assert.False(_own.AreAllSince(101, 102));
        _own.Note(100, _own.Generation);
        Assert.True(_own.AreAllSince(100, 101));
    }

    [Fact]
    public void Old_ones_are_forgotten()
    {
        _index.Pass(new LogMarker(new(10), 3));
        for (var xid = 3u; xid < 50_000; xid++)
        {
            _own.Note(xid, _own.Generation);
            Assert.Equal(xid + 1, _own.KnownBefore(_index));
        }

        Assert.True(_own.AreAllSince(49_990, 50_000));
        Assert.False(_own.AreAllSince(3, 50_000));
    }

    [Fact]
    public void Old_ones_are_forgotten_also_where_nobody_asks()
    {
        for (var xid = 3u; xid < 50_000; xid++) _own.Note(xid, _own.Generation);
        Assert.True(_own.AreAllSince(49_990, 50_000));
        Assert.False(_own.AreAllSince(25_000, 50_000));
    }
}
