using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    private static readonly ColumnValue s_keep = ColumnValue.Unchanged;

    [Fact]
    public async Task Table_is_found_by_relation_with_its_columns_and_key_order()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);

        var table = await FindAsync(session, Pairs);

        Assert.Equal(Pairs.FullName, table.Name);
        Assert.Equal(Pairs.Columns, table.Columns.Select(c => (c.Name, c.TypeName)));
        Assert.Equal([2, 0], table.KeyOrdinals);
        Assert.Equal("balance", (await FindAsync(session, Accounts)).Settings.DeltaColumns.Single().Name);
        Assert.Null(await session.FindTableAsync(new ComplianceTable("no_such_table", [("id", "bigint")], ["id"]).Relation, Token));
    }

    [Fact]
    public async Task Keys_are_read_in_the_order_asked()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Pairs.Insert("x", "first", "y"), Pairs.Insert("y", "second", "x"), Items.Insert("1", "one", null));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var pairs = await FindAsync(session, Pairs);
        var items = await FindAsync(session, Items);

        await session.BeginAsync(Token);
        var states = await session.ReadKeysAsync(
            [
                new(pairs, Pairs.KeyOf("x", "y")), new(items, Items.KeyOf("2")), new(pairs, Pairs.KeyOf("y", "x")),
                new(items, Items.KeyOf("1")), new(pairs, Pairs.KeyOf("x", "y")),
            ], Token);

        Assert.Equal(["second", null, "first", "one", "second"], states.Select(s => s.Row?.Values[1].Text));
        Assert.All(states, s => Assert.True(s is { Tombstone: null, Override: null, Siblings.Count: 0 }));
        Assert.Empty(await session.ReadKeysAsync([], Token));
    }

    [Fact]
    public async Task Applied_rows_show_the_stamp_and_origin_of_their_writer()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "local", null));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var other = await fixture.Database.OpenApplySessionAsync(Ap, Token);

        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("2", "applied", "x")));

        var local = (await LookAsync(other, Items, Items.KeyOf("1"))).Row!;
        var applied = (await LookAsync(other, Items, Items.KeyOf("2"))).Row!;
        Assert.Equal(Node, local.Origin);
        Assert.True(local.Stamp.IsKnown && local.Stamp <= await other.ReadServerTimeAsync(Token));
        Assert.Equal((Us, s_past, false), (applied.Origin, applied.Stamp, applied.IsOwnWrite));
        Assert.Equal(["2", "applied", "x"], TextsOf(applied.Values));
        Assert.Equal(["1|local|∅", "2|applied|x"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Progress_moves_with_the_commit_and_is_found_by_the_next_session()
    {
        await using var fixture = await CreateAsync();
        await using (var session = await fixture.Database.OpenApplySessionAsync(Us, Token))
        {
            Assert.Equal(default, session.AppliedPosition);
            await session.BeginAsync(Token);
            await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("1", "one", null)));
            Assert.Equal(default, session.AppliedPosition);
            Assert.Empty(await fixture.ReadRowsAsync(Items));
            await session.CommitAsync(At(0x100), s_past, Token);
            Assert.Equal(At(0x100), session.AppliedPosition);
            await ApplyAsync(session, 0x180, s_past, Items, t => new DeleteRow(t, Items.KeyOf("1")));
            Assert.Equal(At(0x180), await session.FlushAsync(Token));
        }

        await using var next = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var other = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        Assert.Equal(At(0x180), next.AppliedPosition);
        Assert.Equal(At(0x180), await next.FlushAsync(Token));
        Assert.Equal(default, other.AppliedPosition);
    }

    [Fact]
    public async Task Rolled_back_transaction_leaves_nothing()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("1", "one", null)));
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Items,
            t => new UpdateRow(t, Items.KeyOf("1"), Texts("1", "uno", null)),
            t => new InsertRow(t, Texts("2", "two", null)),
            t => new SetTombstone(t, Items.KeyOf("3"), Version(s_past, Us, 0x180)),
            t => new SetOverride(t, Items.KeyOf("1"), Version(s_future, Ap, 0x90)),
            t => new SetSiblings(t, Items.KeyOf("4"), [new Sibling(Version(s_past, Us, 0x180), null)]));
        await session.ExecuteAsync(new ApplyPlan { Conflicts = { Entry(Items, "1") } }, Token);

        await session.RollbackAsync(Token);

        Assert.Equal(At(0x100), session.AppliedPosition);
        Assert.Equal(["1|one|∅"], await fixture.ReadRowsAsync(Items));
        Assert.Null((await LookAsync(session, Items, Items.KeyOf("1"))).Override);
        Assert.Null((await LookAsync(session, Items, Items.KeyOf("3"))).Tombstone);
        Assert.Empty((await LookAsync(session, Items, Items.KeyOf("4"))).Siblings);
        Assert.Empty(await HistoryAsync(fixture, new ConflictQuery()));
    }

    [Fact]
    public async Task Disposed_session_rolls_back_and_gives_its_place_free()
    {
        await using var fixture = await CreateAsync();
        var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("1", "one", null)));

        await FailsAsync(ReplicationErrorKind.InUse, async () => await fixture.Database.OpenApplySessionAsync(Us, Token));
        await session.DisposeAsync();

        await using var next = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(next, 0x100, s_past, Items, t => new InsertRow(t, Texts("1", "again", null)));
        Assert.Equal(["1|again|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Unchanged_values_stay_and_in_an_insert_take_the_default()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);

        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, [ColumnValue.Of("1"), ColumnValue.Of("one"), s_keep]));
        Assert.Equal(["1|one|∅"], await fixture.ReadRowsAsync(Items));
        await ApplyAsync(session, 0x200, s_past, Items, t => new UpdateRow(t, Items.KeyOf("1"), [s_keep, s_keep, ColumnValue.Of("x")]));
        Assert.Equal(["1|one|x"], await fixture.ReadRowsAsync(Items));
        await ApplyAsync(session, 0x300, s_past, Items, t => new UpdateRow(t, Items.KeyOf("1"), [s_keep, ColumnValue.Null, s_keep]));
        Assert.Equal(["1|∅|x"], await fixture.ReadRowsAsync(Items));
        await ApplyAsync(session, 0x400, s_past, Items, t => new DeleteRow(t, Items.KeyOf("1")));
        Assert.Empty(await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Update_of_nothing_gives_the_row_the_transactions_version()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", "x"));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var before = (await LookAsync(session, Items, Items.KeyOf("1"))).Row!;

        await ApplyAsync(session, 0x100, s_future, Items, t => new UpdateRow(t, Items.KeyOf("1"), [s_keep, s_keep, s_keep]));

        var after = (await LookAsync(session, Items, Items.KeyOf("1"))).Row!;
        Assert.NotEqual(before.Xid, after.Xid);
        Assert.Equal((Us, s_future), (after.Origin, after.Stamp));
        Assert.Equal(["1", "one", "x"], TextsOf(after.Values));
    }

    [Fact]
    public async Task Row_under_a_key_of_several_columns_is_written()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);

        await ApplyAsync(session, 0x100, s_past, Pairs,
            t => new InsertRow(t, Texts("x", "1", "y")), t => new InsertRow(t, Texts("y", "2", "x")), t => new InsertRow(t, Texts("z", "3", "z")));
        await ApplyAsync(session, 0x200, s_past, Pairs,
            t => new UpdateRow(t, Pairs.KeyOf("y", "x"), [s_keep, ColumnValue.Of("one"), s_keep]), t => new DeleteRow(t, Pairs.KeyOf("x", "y")));

        Assert.Equal(["x|one|y", "z|3|z"], await fixture.ReadRowsAsync(Pairs));
    }

    [Fact]
    public async Task Write_that_another_transaction_overtook_is_transient()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        Func<LocalTable, PlannedWrite>[] overtaken =
        [
            t => new InsertRow(t, Texts("1", "again", null)),
            t => new UpdateRow(t, Items.KeyOf("2"), Texts("2", "two", null)),
            t => new DeleteRow(t, Items.KeyOf("2")),
        ];

        foreach (var write in overtaken)
        {
            await session.BeginAsync(Token);
            await FailsAsync(ReplicationErrorKind.Transient, () => ExecuteAsync(session, Items, t => new InsertRow(t, Texts("9", "before", null)), write));
            await session.RollbackAsync(Token);
        }

        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("2", "two", null)));
        Assert.Equal(["1|one|∅", "2|two|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Later_part_sees_what_an_earlier_one_wrote()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null), Items.Insert("2", "two", null));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Items,
            t => new UpdateRow(t, Items.KeyOf("1"), Texts("1", "uno", null)),
            t => new SetOverride(t, Items.KeyOf("1"), Version(s_future, Ap, 0x90)),
            t => new DeleteRow(t, Items.KeyOf("2")),
            t => new SetTombstone(t, Items.KeyOf("2"), Version(s_past, Us, 0x100)));

        var updated = await ReadKeyAsync(session, Items, Items.KeyOf("1"));
        var deleted = await ReadKeyAsync(session, Items, Items.KeyOf("2"));
        await session.CommitAsync(At(0x100), s_past, Token);

        Assert.True(updated.Row!.IsOwnWrite);
        Assert.Equal("uno", updated.Row.Values[1].Text);
        Assert.Equal(Version(s_future, Ap, 0x90), updated.Override);
        Assert.Null(deleted.Row);
        Assert.Equal(Version(s_past, Us, 0x100), deleted.Tombstone);
        Assert.False((await LookAsync(session, Items, Items.KeyOf("1"))).Row!.IsOwnWrite);
    }

    [Fact]
    public async Task Server_time_rises()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);

        var first = await session.ReadServerTimeAsync(Token);
        Assert.Equal(first, session.ServerTime);
        var later = first;
        for (var attempt = 0; attempt < 1_000 && later == first; attempt++)
        {
            fixture.PassTime();
            later = await session.ReadServerTimeAsync(Token);
        }

        Assert.True(later > first, "The server's clock stood still for 1,000 readings.");
        Assert.Equal(later, session.ServerTime);
    }
}
