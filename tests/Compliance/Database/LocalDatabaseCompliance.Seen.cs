using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

/// <content>Writes without a look at the rows, and commits of several transactions.</content>
public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Seen_rows_are_written_without_a_look()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", "x"), Items.Insert("2", "two", "x"));
        var horizon = (await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token)).Horizon;
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("3", "three", null)));
        await session.BeginAsync(Token);
        // Several writes on one row, each of which finds what the one before it left.
        Assert.True(await TrySeenAsync(session, new(Us, horizon, []), t => new UpdateRow(t, Items.KeyOf("1"), Note("first")), t => new UpdateRow(t, Items.KeyOf("1"), Note("second")), t => new DeleteRow(t, Items.KeyOf("2")),
            t => new InsertRow(t, Texts("2", "again", null)), t => new UpdateRow(t, Items.KeyOf("3"), Note("own")), t => new InsertRow(t, Texts("4", "four", null)), t => new UpdateRow(t, Items.KeyOf("4"), Note("set"))));
        await session.CommitAsync(At(0x200), s_past, Token);
        Assert.Equal(["1|one|second", "2|again|∅", "3|three|own", "4|four|set"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Row_that_may_not_have_been_seen_refuses_all_writes()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        var horizon = (await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token)).Horizon;
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var other = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await fixture.RunLocalAsync(Items.Insert("2", "behind the horizon", null));
        await ApplyAsync(other, 0x10, s_past, Items, t => new InsertRow(t, Texts("3", "another origin's", null)));
        var row = (await LookAsync(session, Items, Items.KeyOf("1"))).Row!;
        var unseen = new ShownVersion(row.Stamp, row.Origin, row.Xid);

        await RefusedAsync(new(Us, horizon, [unseen]), t => new UpdateRow(t, Items.KeyOf("1"), Note("x")));
        await RefusedAsync(new(Us, horizon, []), t => new UpdateRow(t, Items.KeyOf("1"), Note("x")), t => new UpdateRow(t, Items.KeyOf("2"), Note("x")));
        await RefusedAsync(new(Us, horizon, []), t => new DeleteRow(t, Items.KeyOf("2")));
        await RefusedAsync(new(Us, horizon, []), t => new DeleteRow(t, Items.KeyOf("3")));
        await RefusedAsync(new(Us, horizon, []), t => new UpdateRow(t, Items.KeyOf("9"), Note("x")));
        await RefusedAsync(new(Us, horizon, []), t => new InsertRow(t, Texts("1", "taken", null)));
        Assert.Equal(["1|one|∅", "2|behind the horizon|∅", "3|another origin's|∅"], await fixture.ReadRowsAsync(Items));

        // What is stored beside a row of the table says more than its xmin.
        await ApplyAsync(other, 0x20, s_past, Items, t => new UpdateRow(t, Items.KeyOf("3"), Note("o")), t => new SetOverride(t, Items.KeyOf("3"), Version(s_past, Ap, 5)));
        await RefusedAsync(new(Us, horizon, []), t => new UpdateRow(t, Items.KeyOf("1"), Note("x")));

        async Task RefusedAsync(SeenRows seen, params Func<LocalTable, PlannedWrite>[] writes)
        {
            await session.BeginAsync(Token);
            Assert.False(await TrySeenAsync(session, seen, writes));
            await session.RollbackAsync(Token);
        }
    }

    [Fact]
    public async Task Tombstones_of_keys_and_of_their_table_are_found()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new SetTombstone(t, Items.KeyOf("1"), Version(s_past, Us, 0x100)));
        await session.BeginAsync(Token);
        Assert.False((await session.FindTombstoneAsync([Items.KeyOf("2"), Pairs.KeyOf("1", "1")], Token)).IsFound);
        Assert.True((await session.FindTombstoneAsync([Items.KeyOf("2"), Items.KeyOf("1")], Token)).IsFound);
        await ExecuteAsync(session, Pairs, t => new TruncateTable(t, Version(s_past, Us, 0x200), []));
        Assert.True((await session.FindTombstoneAsync([Pairs.KeyOf("1", "1")], Token)).IsFound);
        await session.RollbackAsync(Token);
    }

    [Fact]
    public async Task Look_for_tombstones_tells_whether_anybody_else_has_written()
    {
        await using var fixture = await CreateAsync();
        var (database, own, index) = (fixture.Database, fixture.Database.OwnTransactions, new TransactionIndex());
        await using var session = await database.OpenApplySessionAsync(Us, Token);
        await using var other = await database.OpenApplySessionAsync(Ap, Token);
        // Ids are the server's: one that another database has taken is somebody else's, and the next time there may be none.
        for (var i = 0; !await IsAloneAsync(i, isLocal: false); i++) Token.ThrowIfCancellationRequested();
        for (var i = 1000; i < 1005; i++) Assert.False(await IsAloneAsync(i, isLocal: true));

        async Task<bool> IsAloneAsync(int number, bool isLocal)
        {
            index.Pass(await database.WriteMarkerAsync(CommitTimestamp.Unknown, Token));
            await ApplyAsync(other, (ulong)number + 0x100, s_past, Items, t => new InsertRow(t, Texts($"{number}", "a peer's", null)));
            await database.SaveTombstonesAsync([new Tombstone(Items.FullName, Items.KeyOf("77").ToText(), Version(s_past, Us, 1))], Token);
            await database.SaveCheckpointAsync((await database.FindCheckpointAsync(Token))!, Token);
            await database.WriteMarkerAsync(CommitTimestamp.Unknown, Token);
            if (isLocal) await fixture.RunLocalAsync(Items.Insert($"{number + 5000}", "an application's", null));
            await session.BeginAsync(Token);
            await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("9999", "own", null)));
            var known = own.KnownBefore(index);
            var look = await session.FindTombstoneAsync([Items.KeyOf("9999")], Token);
            await session.RollbackAsync(Token);
            return own.AreAllSince(known, look.NextXid);
        }
    }

    [Fact]
    public async Task Own_row_is_told_from_others_under_whose_key_a_tombstone_stands()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("1", "a", null)), t => new SetTombstone(t, Items.KeyOf("1"), Version(s_past, Us, 0x100)), t => new SetTombstone(t, Items.KeyOf("2"), Version(s_past, Us, 0x100)));
        var own = Version(s_past.Next, Us, 0x200);
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("3", "a", null)), t => new SetTombstone(t, Items.KeyOf("3"), own));
        Assert.False(await HasTombstoneAsync(Items));
        await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("2", "b", null)));
        Assert.True(await HasTombstoneAsync(Items));
        Assert.False(await HasTombstoneAsync(Pairs));
        await ExecuteAsync(session, Pairs, t => new TruncateTable(t, Version(s_past, Us, 0x150), []));
        Assert.True(await HasTombstoneAsync(Pairs));
        await session.RollbackAsync(Token);

        async Task<bool> HasTombstoneAsync(ComplianceTable table) => (await session.FindTombstoneOfOwnRowAsync(await FindAsync(session, table), own, Token)).IsFound;
    }

    [Fact]
    public async Task Commit_of_several_transactions_tells_capture_whose_the_rows_are()
    {
        await using var fixture = await CreateAsync();
        var (first, second, last) = (Version(s_past, Us, 0x100), Version(s_past.Next, Us, 0x200), Version(s_past.Next.Next, Us, 0x300));
        await using (var session = await fixture.Database.OpenApplySessionAsync(Us, Token))
        {
            await session.BeginAsync(Token);
            session.Group(GroupedVersions.TryCreate([first, second], [(Items.KeyOf("1"), first), (Items.KeyOf("2"), second), (Items.KeyOf("3"), last)])!);
            await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("1", "a", null)), t => new InsertRow(t, Texts("2", "b", null)), t => new InsertRow(t, Texts("3", "c", null)));
            await session.CommitAsync(last.Position, last.Stamp, Token);
            Assert.Equal(last.Position, session.AppliedPosition);
            // The same where nothing is looked at.
            await session.BeginAsync(Token);
            session.Group(GroupedVersions.TryCreate([Version(s_past, Us, 0x400)], [(Items.KeyOf("4"), Version(s_past, Us, 0x400))])!);
            Assert.True(await TrySeenAsync(session, new(Us, 1, []), t => new InsertRow(t, Texts("4", "d", null))));
            await session.CommitAsync(At(0x500), last.Stamp, Token);
            await session.FlushAsync(Token);
        }

        await using var reader = await ReadFromCheckpointAsync(fixture);
        var read = (await reader.ReadAllAsync()).Where(t => t.ForeignOrigin == Us).ToList();
        var captured = read[0];
        Assert.True(read[1].Grouped!.TryGet(Items.KeyOf("4"), out var of4) && of4.Position == At(0x400));
        Assert.Equal((last.Position, last.Stamp), (captured.ForeignPosition, captured.Stamp));
        Assert.Equal([first, second], captured.Grouped!.Earlier);
        Assert.True(captured.Grouped.TryGet(Items.KeyOf("1"), out var of1) && of1 == first);
        Assert.True(captured.Grouped.TryGet(Items.KeyOf("2"), out var of2) && of2 == second);
        Assert.False(captured.Grouped.TryGet(Items.KeyOf("3"), out _));
    }

    private static ColumnValue[] Note(string note) => [ColumnValue.Unchanged, ColumnValue.Unchanged, ColumnValue.Of(note)];

    private static async Task<bool> TrySeenAsync(IApplySession session, SeenRows seen, params Func<LocalTable, PlannedWrite>[] writes)
    {
        var target = await FindAsync(session, Items);
        var plan = new ApplyPlan();
        foreach (var write in writes) plan.Writes.Add(write(target));
        return await session.TryWriteSeenAsync(plan, seen, Token);
    }
}
