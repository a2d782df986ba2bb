using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;

namespace ActiveActive.Tests.Progress;

public sealed class ProgressTests
{
    private static readonly NodeName s_a = new("a");
    private static readonly RowKey s_key = new(new TableName("public", "t"), ["1"]);
    private static readonly NodeName s_b = new("b");
    private static readonly NodeName s_c = new("c");

    [Fact]
    public async Task Gate_lets_those_through_who_wait_for_what_is_reached_and_never_goes_back()
    {
        var gate = new PositionGate();
        using var cancelled = new CancellationTokenSource();
        var (first, second, gone) = (gate.WaitAsync(new(5), default), gate.WaitAsync(new(6), default), gate.WaitAsync(new(5), cancelled.Token));
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);
        gate.Advance(new(5));
        await first;
        Assert.True(gate.IsAwaited);
        Assert.False(second.IsCompleted);
        gate.Advance(new(3));
        Assert.Equal(new(5), gate.Current);
        Assert.True(gate.WaitAsync(new(5), default).IsCompletedSuccessfully);
        gate.Advance(new(100));
        await second;
        // Who has given up waits no more.
        using var givenUp = new CancellationTokenSource();
        gone = gate.WaitAsync(new(200), givenUp.Token);
        Assert.True(gate.IsAwaited);
        await givenUp.CancelAsync();
        Assert.False(gate.IsAwaited);
    }

    [Fact]
    public void Index_tells_the_stamps_of_what_a_writer_had_not_seen()
    {
        var index = new TransactionIndex();
        index.Add(700, new(10), new(1), V(1, s_a, 100));
        index.Add(701, new(20), new(2), V(2, s_b, 200));
        index.Add(702, new(30), new(3), V(3, s_a, 300));
        index.Add(703, new(40), new(4), V(4, s_c, 400));
        var seen = DependencyVector.Of([new(s_a, new(100))]);
        Assert.Equal([new(new(2), s_b, 701), new(new(3), s_a, 702)], index.FindFewUnseen(s_c, seen, 9)!.OrderBy(u => u.Xid));
        Assert.Equal([new(new(4), s_c, 703)], index.FindFewUnseen(s_b, DependencyVector.Of([new(s_a, new(300))]), 9));
        Assert.Null(index.FindFewUnseen(s_c, seen, 1));
        Assert.Null(index.FindFewUnseen(s_c, seen.WithGap(s_b, new(150)), 9));
        index.CutBefore(new(30));
        Assert.Equal([new(new(3), s_a, 702)], index.FindFewUnseen(s_c, DependencyVector.Empty, 9));
        index.CutBefore(new(50));
        Assert.Empty(index.FindFewUnseen(s_c, DependencyVector.Empty, 9)!);
    }

    [Fact]
    public void Index_finds_a_transaction_by_xid_or_stamp_until_it_is_cut()
    {
        var index = new TransactionIndex();
        index.Add(700, new(10), new(1), V(1, s_a, 1000));
        index.Add(701, new(20), new(2), V(2, s_b, 2000));
        Assert.True(index.TryGetVersion(s_key, 700, s_a, new(1), out var version));
        Assert.Equal(V(1, s_a, 1000), version);
        // Under a savepoint the row shows another xid.
        Assert.True(index.TryGetVersion(s_key, 999, s_b, new(2), out version));
        Assert.Equal(V(2, s_b, 2000), version);
        Assert.False(index.TryGetVersion(s_key, 999, s_a, new(2), out _));
        Assert.True(index.TryGetLocalPosition(701, out var local));
        Assert.Equal(new(20), local);
        Assert.Equal(new(20), index.FirstOf([999, 701]));
        Assert.Equal(new(ulong.MaxValue), index.FirstOf([999]));
        index.CutBefore(new(20));
        Assert.False(index.TryGetVersion(s_key, 700, s_a, new(1), out _));
        Assert.False(index.TryGetLocalPosition(700, out _));
        Assert.True(index.TryGetVersion(s_key, 701, s_b, new(2), out _));
        Assert.Equal(1, index.Count);
    }

    [Fact]
    [Trait("Story", "3")]
    public void Index_tells_by_the_key_which_of_the_transactions_that_show_a_stamp_wrote_a_row()
    {
        var relation = new Relation(s_key.Table, s_key.Table, [new RelationColumn("id", "text", 1)]);
        WrittenRows WroteKey(string key)
        {
            var rows = new WrittenRows();
            rows.Add([Change.Insert(relation, [ColumnValue.Of(key)])]);
            return rows;
        }

        var index = new TransactionIndex();
        index.Add(700, new(10), new(5), V(5, s_a, 10));
        index.Add(690, new(20), new(5), V(6, s_a, 20), written: WroteKey("another"));
        index.Add(691, new(30), new(5), V(7, s_a, 30), written: WroteKey(s_key.Values[0]));

        // Under savepoints: of the last that wrote the row and began before.
        Assert.True(index.TryGetVersion(s_key, 710, s_a, new(5), out var version));
        Assert.Equal(V(7, s_a, 30), version);
        Assert.True(index.TryGetVersion(new RowKey(s_key.Table, ["a third"]), 710, s_a, new(5), out version));
        Assert.Equal(V(5, s_a, 10), version);
        index.CutBefore(new(20));
        Assert.False(index.TryGetVersion(new RowKey(s_key.Table, ["a third"]), 700, s_a, new(5), out _));
        Assert.True(index.TryGetVersion(new RowKey(s_key.Table, ["another"]), 692, s_a, new(5), out version));
        Assert.Equal(V(6, s_a, 20), version);
    }

    [Fact]
    [Trait("Story", "2")]
    public void Index_tells_the_true_stamp_of_a_transaction_whose_clock_was_behind()
    {
        var index = new TransactionIndex();
        index.Add(700, new(10), new(5), V(5, s_a, 10));
        index.Add(701, new(20), new(5), V(12, s_a, 20));
        index.Add(702, new(30), new(3), V(13, s_a, 30));
        Assert.True(index.TryGetVersion(s_key, 702, s_a, new(3), out var version));
        Assert.Equal(V(13, s_a, 30), version);
    }

    [Fact]
    public void Index_tells_what_the_rows_show_that_a_writer_had_not_seen()
    {
        var index = new TransactionIndex();
        index.Add(700, new(10), new(5), V(5, s_a, 10));
        index.Add(701, new(20), new(6), V(12, s_a, 20));
        index.Add(702, new(30), new(7), V(7, s_b, 30));
        Assert.Equal([new ShownVersion(new(6), s_a, 701)], index.FindUnseen(s_b, DependencyVector.Of([new(s_a, new(10))])));
        Assert.Equal([new ShownVersion(new(7), s_b, 702)], index.FindUnseen(s_a, DependencyVector.Empty));
        index.CutBefore(new(25));
        Assert.Empty(index.FindUnseen(s_b, DependencyVector.Empty));
    }

    [Fact]
    public void Marker_is_after_those_that_had_ended_whatever_the_xid_counter_does()
    {
        var marker = new LogMarker(new(1), 5);
        Assert.True(marker.IsAfter(4));
        Assert.False(marker.IsAfter(5));
        Assert.True(marker.IsAfter(uint.MaxValue - 7));
        Assert.False(default(LogMarker).IsAfter(4));
    }

    [Fact]
    [Trait("Story", "37")]
    public void Only_what_every_members_own_stream_covers_is_stable()
    {
        var progress = new ReplicationProgress(s_a, [s_b, s_c]);
        var checkpoint = new CaptureCheckpoint(new(51), CommitTimestamp.Unknown, Vector((s_c, 40)), new(50));
        progress.NoteMember(s_b, Vector((s_a, 30), (s_c, 35)));
        Assert.Equal(default, progress.StablePositionOf(s_a));
        progress.NoteMember(s_c, Vector((s_a, 70), (s_b, 9)));
        Assert.Equal(new(30), progress.StablePositionOf(s_a));
        // The origin itself need not say so, and this node must have it before its checkpoint.
        Assert.Equal(new(35), progress.Stable(checkpoint)[s_c]);
        Assert.Equal(default, progress.Stable(checkpoint)[s_b]);
        progress.NoteMember(s_b, Vector((s_a, 90), (s_c, 99)));
        Assert.Equal(new(50), progress.Stable(checkpoint)[s_a]);
        Assert.Equal(new(40), progress.Stable(checkpoint)[s_c]);
    }

    [Fact]
    [Trait("Story", "7")]
    public async Task Dependencies_are_waited_for_one_and_all()
    {
        var progress = new ReplicationProgress(s_a, [s_b, s_c]);
        // Its own transactions are here, and a node that is no member can't be waited for.
        var needed = Vector((s_a, 1000), (new NodeName("gone"), 5), (s_b, 7), (s_c, 9));
        var waiting = progress.WaitForDependenciesAsync(needed, default).AsTask();
        Assert.Equal(s_b, progress.FirstUnmet(needed)!.Value.Key);
        progress.AppliedOf(s_b).Advance(new(7));
        Assert.False(waiting.IsCompleted);
        Assert.Equal(s_c, progress.FirstUnmet(needed)!.Value.Key);
        progress.AppliedOf(s_c).Advance(new(9));
        await waiting;
        Assert.Null(progress.FirstUnmet(needed));
    }

    private static DependencyVector Vector(params (NodeName Node, ulong Position)[] entries) =>
        DependencyVector.Of(entries.Select(e => new KeyValuePair<NodeName, NpgsqlTypes.NpgsqlLogSequenceNumber>(e.Node, new(e.Position))));

    private static RowVersion V(long stamp, NodeName node, ulong position) => new(new CommitTimestamp(stamp), node, new(position));
}
