using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    // Long enough, and with too little repetition, to be stored out of line.
    private static readonly string s_body = string.Concat(Enumerable.Range(0, 4_000).Select(i => (i * 7919 % 65_521).ToString("x4", null)));

    [Fact]
    public async Task Local_commit_is_captured_with_its_stamp_and_rows()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var reader = await ReadFromCheckpointAsync(fixture);
        var before = await session.ReadServerTimeAsync(Token);

        await fixture.RunLocalAsync(Items.Insert("1", "one", null), Items.Insert("2", "two", "x"));

        var transaction = Assert.Single(await reader.ReadAllAsync());
        var row = (await LookAsync(session, Items, Items.KeyOf("1"))).Row!;
        Assert.True(transaction.ForeignOrigin.IsNone);
        Assert.True(before <= transaction.Stamp && transaction.Stamp <= await session.ReadServerTimeAsync(Token));
        Assert.Equal(row.Stamp, transaction.Stamp);
        Assert.Equal(row.Xid, transaction.Xid);
        Assert.True(transaction is { Part: 0, IsLastPart: true });
        Assert.Collection(transaction.Changes,
            change =>
            {
                Assert.Equal(ChangeKind.Insert, change.Kind);
                Assert.Equal(Items.FullName, change.Relation.Name);
                Assert.Equal(Items.FullName, change.Relation.Root);
                Assert.Equal(Items.Relation.Columns, change.Relation.Columns);
                Assert.Null(change.OldRow);
                Assert.Equal(["1", "one", null], TextsOf(change.NewRow));
            },
            change => Assert.Equal(["2", "two", "x"], TextsOf(change.NewRow)));
    }

    [Fact]
    public async Task Tombstone_of_a_captured_delete_is_found_by_its_rows_key()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await fixture.RunLocalAsync(Pairs.Insert("of a", "value", "of b"));
        await fixture.RunLocalAsync(Pairs.Delete(Pairs.KeyOf("of b", "of a")));

        var delete = (await reader.ReadAllAsync())[^1];
        var tombstones = new List<Tombstone>();
        LocalDeletes.AddTombstones(new ChangeTransaction { Origin = Node, Position = delete.Position, Stamp = delete.Stamp, Dependencies = DependencyVector.Empty, Changes = delete.Changes }, tombstones);
        await fixture.Database.SaveTombstonesAsync(tombstones, Token);

        Assert.Equal(delete.Position, (await LookAsync(session, Pairs, Pairs.KeyOf("of b", "of a"))).Tombstone?.Position);
    }

    [Fact]
    public async Task Old_rows_are_captured_by_key_only_where_needed()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await fixture.RunLocalAsync(Items.Insert("1", "one", "x"));
        await fixture.RunLocalAsync(Items.Update(Items.KeyOf("1"), ("name", "uno")));
        await fixture.RunLocalAsync(Items.Update(Items.KeyOf("1"), ("id", "7")));
        await fixture.RunLocalAsync(Items.Delete(Items.KeyOf("7")));

        var changes = (await reader.ReadAllAsync()).Select(t => Assert.Single(t.Changes)).ToList();
        Assert.Equal([ChangeKind.Insert, ChangeKind.Update, ChangeKind.Update, ChangeKind.Delete], changes.Select(c => c.Kind));
        Assert.Null(changes[1].OldRow);
        Assert.Equal(["1", "uno", "x"], TextsOf(changes[1].NewRow));
        Assert.True(changes[2].OldIsKeyOnly);
        Assert.Equal(["1", null, null], TextsOf(changes[2].OldRow));
        Assert.Equal(["7", "uno", "x"], TextsOf(changes[2].NewRow));
        Assert.True(changes[3].OldIsKeyOnly);
        Assert.Equal(["7", null, null], TextsOf(changes[3].OldRow));
        Assert.Null(changes[3].NewRow);
    }

    [Fact]
    public async Task Whole_old_rows_are_captured_where_the_table_adds_up()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await fixture.RunLocalAsync(
            Accounts.Insert("1", "ann", "10"), Accounts.Update(Accounts.KeyOf("1"), ("balance", "17")), Accounts.Delete(Accounts.KeyOf("1")));

        var changes = Assert.Single(await reader.ReadAllAsync()).Changes;
        Assert.Equal(3, changes.Count);
        Assert.False(changes[1].OldIsKeyOnly);
        Assert.Equal(["1", "ann", "10"], TextsOf(changes[1].OldRow));
        Assert.Equal(["1", "ann", "17"], TextsOf(changes[1].NewRow));
        Assert.False(changes[2].OldIsKeyOnly);
        Assert.Equal(["1", "ann", "17"], TextsOf(changes[2].OldRow));
    }

    [Fact]
    public async Task Unchanged_out_of_line_value_is_captured_as_such()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Documents.Insert("1", "draft", s_body), Documents.Insert("2", "empty", null));
        await using var reader = await ReadFromCheckpointAsync(fixture);
        _ = await reader.ReadAllAsync();

        await fixture.RunLocalAsync(Documents.Update(Documents.KeyOf("1"), ("title", "final")), Documents.Update(Documents.KeyOf("2"), ("title", "none")));

        var changes = Assert.Single(await reader.ReadAllAsync()).Changes;
        Assert.Equal(["1", "final", "(unchanged)"], TextsOf(changes[0].NewRow));
        Assert.Equal(["2", "none", null], TextsOf(changes[1].NewRow));
    }

    [Fact]
    public async Task Unchanged_out_of_line_value_is_filled_from_a_whole_old_row()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Profiles.Insert("1", "{a}", s_body));
        await using var reader = await ReadFromCheckpointAsync(fixture);
        _ = await reader.ReadAllAsync();

        await fixture.RunLocalAsync(Profiles.Update(Profiles.KeyOf("1"), ("tags", "{b}")));

        var change = Assert.Single(Assert.Single(await reader.ReadAllAsync()).Changes);
        Assert.Equal(["1", "{a}", s_body], TextsOf(change.OldRow));
        Assert.Equal(["1", "{b}", s_body], TextsOf(change.NewRow));
    }

    [Fact]
    public async Task Truncate_is_captured_in_its_place()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await fixture.RunLocalAsync(Items.Insert("1", "gone", null), Items.Truncate(), Items.Insert("2", "stays", null));

        var changes = Assert.Single(await reader.ReadAllAsync()).Changes;
        Assert.Equal([ChangeKind.Insert, ChangeKind.Truncate, ChangeKind.Insert], changes.Select(c => c.Kind));
        Assert.Equal(Items.FullName, changes[1].Relation.Root);
        Assert.Equal(["2|stays|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Transactions_come_in_commit_order_at_rising_positions()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await fixture.RunLocalAsync(Items.Insert("1", "local", null));
        await ApplyAsync(session, 0x100, s_past, Items, t => new Apply.InsertRow(t, Texts("2", "applied", null)));
        await fixture.RunLocalAsync(Items.Insert("3", "local", null));

        var read = await reader.ReadAllAsync();
        Assert.Equal([default, Us, default], read.Select(t => t.ForeignOrigin));
        Assert.True(read[0].Position < read[1].Position && read[1].Position < read[2].Position);
    }

    [Fact]
    public async Task Applied_commit_is_captured_as_foreign_and_without_changes()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await ApplyAsync(session, 0x1234, s_past, Items, t => new Apply.InsertRow(t, Texts("1", "applied", null)));

        var transaction = Assert.Single(await reader.ReadAllAsync());
        Assert.Equal(Us, transaction.ForeignOrigin);
        Assert.Equal(At(0x1234), transaction.ForeignPosition);
        Assert.Equal(s_past, transaction.Stamp);
        Assert.Empty(transaction.Changes);
    }

    [Fact]
    public async Task Applied_commit_that_wrote_nothing_moves_progress_and_is_captured()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await session.BeginAsync(Token);
        await session.CommitAsync(At(0x77), s_past, Token);

        Assert.Equal(At(0x77), session.AppliedPosition);
        var transaction = Assert.Single(await reader.ReadAllAsync());
        Assert.Equal((Us, At(0x77)), (transaction.ForeignOrigin, transaction.ForeignPosition));
    }

    [Fact]
    public async Task Marker_passes_an_idle_stream_and_nothing_lies_behind()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);
        _ = await reader.ReadAllAsync();
        var waiting = reader.Ask();
        Assert.False(waiting.IsCompleted);

        var marker = await fixture.Database.WriteMarkerAsync(s_future, Token);

        var passed = await reader.NextAsync("the marker passes");
        Assert.True(passed.Position >= marker.Position);
        Assert.Equal(s_future, passed.Floor);
        Assert.Empty(passed.Changes);
        Assert.True((await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token)).Position > marker.Position);
    }

    [Fact]
    public async Task Marker_tells_by_its_horizon_who_had_ended_before_it()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "before", null));
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await us.BeginAsync(Token);
        await ExecuteAsync(us, Items, t => new InsertRow(t, Texts("2", "under way", null)));

        var marker = await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token);
        var unfinished = await fixture.Database.ReadUnfinishedAsync(Token);
        await us.CommitAsync(At(0x100), s_past, Token);
        var later = await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token);

        var before = (await LookAsync(ap, Items, Items.KeyOf("1"))).Row!.Xid;
        var underWay = (await LookAsync(ap, Items, Items.KeyOf("2"))).Row!.Xid;
        Assert.True(marker.IsAfter(before));
        Assert.False(marker.IsAfter(underWay));
        Assert.True(later.IsAfter(underWay));
        Assert.Contains(underWay, unfinished);
        Assert.DoesNotContain(before, unfinished);
        Assert.DoesNotContain(underWay, await fixture.Database.ReadUnfinishedAsync(Token));
    }

    [Fact]
    public async Task Received_position_covers_what_was_read_once_more_is_asked_for()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        var first = await reader.NextAsync("the local commit");

        await fixture.RunLocalAsync(Items.Insert("2", "two", null));
        var second = await reader.NextAsync("the second commit");

        Assert.True(reader.Stream.ReceivedPosition >= first.Position);
        Assert.True(second.Position > first.Position);
        _ = await reader.ReadAllAsync();
        Assert.True(reader.Stream.ReceivedPosition >= second.Position);
    }

    [Fact]
    public async Task Large_transaction_comes_in_parts_with_one_header()
    {
        await using var fixture = await CreateAsync(maxChangesPerPart: 10);
        await using var reader = await ReadFromCheckpointAsync(fixture);

        await fixture.RunLocalAsync([.. Enumerable.Range(0, 35).Select(i => Items.Insert($"{i}", $"row {i}", null))]);

        var parts = await reader.ReadAllAsync();
        Assert.True(parts.Count > 1);
        Assert.Equal(Enumerable.Range(0, parts.Count), parts.Select(p => p.Part));
        Assert.Equal(parts.Select((_, i) => i == parts.Count - 1), parts.Select(p => p.IsLastPart));
        Assert.Single(parts.Select(p => (p.Xid, p.Position, p.Stamp)).Distinct());
        Assert.Equal(Enumerable.Range(0, 35).Select(i => $"{i}"), parts.SelectMany(p => p.Changes).Select(c => c.NewRow![0].Text));
    }

    [Fact]
    public async Task Stream_from_a_position_yields_exactly_the_rest()
    {
        await using var fixture = await CreateAsync();
        var start = (await fixture.Database.FindCheckpointAsync(Token))!.Position;
        IReadOnlyList<CapturedTransaction> all;
        await using (var reader = await ChangeReader.OpenAsync(fixture.Database, start, null, Token))
        {
            for (var i = 0; i < 5; i++) await fixture.RunLocalAsync(Items.Insert($"{i}", "row", null));
            all = await reader.ReadAllAsync();
        }

        await using var again = await ChangeReader.OpenAsync(fixture.Database, all[2].Position, null, Token);

        Assert.Equal(all.Skip(2).Select(t => (t.Position, t.Xid, t.Stamp)), (await again.ReadAllAsync()).Select(t => (t.Position, t.Xid, t.Stamp)));
    }

    [Fact]
    public async Task Slot_has_one_reader_and_a_copy_reads_beside_it()
    {
        await using var fixture = await CreateAsync();
        var start = (await fixture.Database.FindCheckpointAsync(Token))!.Position;
        await using var reader = await ReadFromCheckpointAsync(fixture);
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        var seen = Assert.Single(await reader.ReadAllAsync());

        await FailsAsync(ReplicationErrorKind.InUse, async () =>
        {
            await using var second = await ChangeReader.OpenAsync(fixture.Database, start, null, Token);
            await second.NextAsync("a second reader is refused");
        });
        await using var copy = await ChangeReader.OpenAsync(fixture.Database, start, new SlotCopy(Us), Token);

        Assert.Equal(seen.Position, Assert.Single(await copy.ReadAllAsync()).Position);
    }

    [Fact]
    public async Task Checkpoint_is_read_as_saved_and_survives_another_set_up()
    {
        await using var fixture = await CreateAsync();
        var identity = await fixture.Database.SetUpAsync(isJoining: false, Token);
        var initial = (await fixture.Database.FindCheckpointAsync(Token))!;
        Assert.Empty(initial.Applied);
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        var position = await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token);
        var saved = new CaptureCheckpoint(position.Position, s_past, DependencyVector.Empty.Advance(Us, At(0x10)).Advance(Ap, At(ulong.MaxValue)));

        await fixture.Database.SaveCheckpointAsync(saved, Token);

        Assert.Equal(identity, await fixture.Database.SetUpAsync(isJoining: false, Token));
        Assert.Equal(saved, await fixture.Database.FindCheckpointAsync(Token));
    }
}
