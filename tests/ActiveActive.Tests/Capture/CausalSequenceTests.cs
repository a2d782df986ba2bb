using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Capture;

public sealed class CausalSequenceTests
{
    private static readonly NodeName s_self = new("a");
    private static readonly NodeName s_peer = new("b");
    private static readonly Relation s_relation = new(new("public", "t"), new("public", "t"), [new("id", "integer", 1), new("v", "text", 0)]);

    [Fact]
    public void Local_transaction_depends_on_the_foreign_ones_before_it_in_the_log()
    {
        var sequence = new CausalSequence(s_self, new CaptureCheckpoint(new(1), CommitTimestamp.Unknown, DependencyVector.Empty));
        var before = sequence.Next(Local(10, 5));
        Assert.Null(sequence.Next(Foreign(20, 1000, isLast: false)));
        Assert.Empty(sequence.Applied);
        Assert.Null(sequence.Next(Foreign(20, 1000)));
        var after = sequence.Next(Local(30, 4));
        Assert.Empty(before!.Dependencies);
        Assert.Equal(new(1000), after!.Dependencies[s_peer]);
        Assert.Equal((s_self, 30UL), (after.Origin, (ulong)after.Position));
    }

    [Fact]
    public void Quarantined_transaction_is_a_gap_until_it_comes_again()
    {
        var sequence = new CausalSequence(s_self, new CaptureCheckpoint(new(1), CommitTimestamp.Unknown, DependencyVector.Empty));
        sequence.Next(Foreign(20, 1000) with { IsQuarantined = true });
        sequence.Next(Foreign(30, 1100));
        var between = sequence.Next(Local(40, 5))!;
        sequence.Next(Foreign(50, 1000));
        var after = sequence.Next(Local(60, 6))!;
        Assert.Equal((false, true), (between.Dependencies.Covers(s_peer, new(1000)), between.Dependencies.Covers(s_peer, new(1100))));
        Assert.True(after.Dependencies.Covers(s_peer, new(1000)));
        Assert.Equal(new(1100), after.Dependencies[s_peer]);
    }

    [Fact]
    public void Reading_again_from_a_checkpoint_gives_the_same()
    {
        CapturedTransaction[] log = [Local(10, 5), Foreign(20, 1000), Local(30, 9), Foreign(40, 1100), Local(50, 8)];
        var whole = new CausalSequence(s_self, new CaptureCheckpoint(new(1), CommitTimestamp.Unknown, DependencyVector.Empty));
        var expected = log.Select(whole.Next).ToList();
        for (var cut = 0; cut < log.Length; cut++)
        {
            var first = new CausalSequence(s_self, new CaptureCheckpoint(new(1), CommitTimestamp.Unknown, DependencyVector.Empty));
            foreach (var captured in log.Take(cut)) first.Next(captured);
            var again = new CausalSequence(s_self, new CaptureCheckpoint(new(1), first.GreatestStamp, first.Applied));
            Assert.Equal(expected.Skip(cut).Select(t => (t?.Dependencies, t?.Stamp)), log.Skip(cut).Select(again.Next).Select(t => (t?.Dependencies, t?.Stamp)));
            Assert.Equal(whole.GreatestStamp, again.GreatestStamp);
        }
    }

    [Fact]
    [Trait("Story", "2")]
    public void Transaction_is_later_than_all_before_it_in_the_log_whatever_its_clock_said()
    {
        var sequence = new CausalSequence(s_self, new CaptureCheckpoint(new(1), CommitTimestamp.Unknown, DependencyVector.Empty));
        long StampOf(CapturedTransaction captured) => sequence.Next(captured)!.Stamp.Microseconds;
        Assert.Equal(100, StampOf(Local(10, 100)));
        Assert.Equal(101, StampOf(Local(20, 40)));
        Assert.Equal(102, StampOf(Local(30, 101)));
        Assert.Null(sequence.Next(Foreign(40, 1000) with { Stamp = new CommitTimestamp(200) }));
        Assert.Equal(201, StampOf(Local(50, 150)));
        Assert.Null(sequence.Next(Local(60, 160) with { Changes = [], Floor = new CommitTimestamp(300) }));
        // All parts of a transaction have one stamp.
        Assert.Equal(301, StampOf(Local(70, 170) with { IsLastPart = false }));
        Assert.Equal(301, StampOf(Local(70, 170) with { Part = 1 }));
        Assert.Equal(400, StampOf(Local(80, 400)));
    }

    [Fact]
    public void Marker_is_published_as_nothing() =>
        Assert.Null(new CausalSequence(s_self, new CaptureCheckpoint(new(1), CommitTimestamp.Unknown, DependencyVector.Empty)).Next(Local(10, 5) with { Changes = [] }));

    [Fact]
    public void Deletes_key_changes_and_truncates_leave_tombstones_and_other_updates_none()
    {
        ColumnValue[] Values(string id, string? v) => [ColumnValue.Of(id), v is null ? ColumnValue.Null : ColumnValue.Of(v)];
        var leaf = new Relation(new("public", "t_1"), new("public", "t"), s_relation.Columns);
        var transaction = new ChangeTransaction
        {
            Origin = s_self, Position = new(10), Stamp = new CommitTimestamp(5), Dependencies = DependencyVector.Empty,
            Changes =
            [
                Change.Insert(s_relation, Values("1", "x")), Change.Update(s_relation, null, false, Values("1", "y")),
                Change.Update(s_relation, Values("2", "old"), false, Values("2", "new")), Change.Update(s_relation, Values("3", null), true, Values("4", "y")),
                Change.Delete(leaf, Values("5", null), true), Change.Truncate(leaf), Change.Truncate(s_relation),
            ],
        };
        var tombstones = new List<Tombstone>();
        LocalDeletes.AddTombstones(transaction, tombstones);
        // A single leaf's TRUNCATE leaves none: the root's would cover rows that it left alone.
        Assert.Equal([new(leaf.Root, "[\"3\"]", transaction.Version), new(leaf.Root, "[\"5\"]", transaction.Version), new(leaf.Root, "", transaction.Version)], tombstones);
    }

    private static CapturedTransaction Local(ulong position, long stamp) =>
        new() { Xid = 700, Position = new(position), Stamp = new CommitTimestamp(stamp), Changes = [Change.Truncate(s_relation)] };

    private static CapturedTransaction Foreign(ulong position, ulong origin, bool isLast = true) =>
        new() { Xid = 701, Position = new(position), Stamp = new CommitTimestamp(99), Changes = [], ForeignOrigin = s_peer, ForeignPosition = new(origin), IsLastPart = isLast };
}
