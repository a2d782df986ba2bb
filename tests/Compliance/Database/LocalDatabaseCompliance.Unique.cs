using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    [Trait("Story", "9")]
    public async Task Applied_row_with_a_taken_unique_value_is_refused_by_name()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Members.Insert("1", "x", "t", "1"));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await session.BeginAsync(Token);
        var taken = await Assert.ThrowsAsync<UniqueKeyTakenException>(() => ExecuteAsync(session, Members, t => new InsertRow(t, Texts("2", "x", null, null))));
        Assert.Equal((Members.FullName, ReplicationErrorKind.ApplyRefused), (taken.Table, taken.Kind));
        await session.RollbackAsync(Token);

        // What its own transaction has freed is free; the swap of two rows' values is a delete of each before their inserts.
        await ApplyAsync(session, 0x100, s_past, Members, t => new DeleteRow(t, Members.KeyOf("1")), t => new InsertRow(t, Texts("2", "x", null, "7")));
        await session.BeginAsync(Token);
        await Assert.ThrowsAsync<UniqueKeyTakenException>(() => ExecuteAsync(session, Members, t => new InsertRow(t, Texts("3", null, null, "7"))));
        await session.RollbackAsync(Token);
        Assert.Equal(["2|x|∅|7"], await fixture.ReadRowsAsync(Members));
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Rows_that_share_a_unique_value_are_found_visible_or_hidden()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Members.Insert("1", "x", null, "1"), Members.Insert("2", "y", "t", "2"));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Members, t => new SetLoser(t, Members.KeyOf("3"), new UniqueLoser(Version(s_past, Us, 0x100), Texts("3", "x", null, null))));

        await session.BeginAsync(Token);
        var table = await FindAsync(session, Members);
        Assert.True(table.HasUniqueKeys && !table.HasDeferrableKeys);
        await ExecuteAsync(session, Members, t => new InsertRow(t, Texts("4", "z", null, "4")));
        // In order: shares x with 1 and 3; (null, 1) with 1; nothing, nulls being unequal in the first key; z with what this transaction wrote; itself.
        var clashes = await session.FindClashesAsync(table,
            [Texts("9", "x", "t", "9"), Texts("8", "w", null, "1"), Texts("7", null, "u", "7"), Texts("6", "z", "t", "2"), Texts("2", "y", "t", "2"), Texts("5", "w", "v", "5")], Token);
        await session.RollbackAsync(Token);

        Assert.Equal(["0:1", "0:3", "1:1", "3:2", "3:4"], clashes.Stored.Select(s => $"{s.Row}:{s.Key.Values[0]}").Distinct().Order(StringComparer.Ordinal));
        Assert.Equal([(1, 5), (3, 4)], clashes.Pairs.Distinct().Order());
    }

    [Fact]
    public async Task Unique_keys_of_replicated_tables_are_told_without_their_names()
    {
        await using var fixture = await CreateAsync();
        Assert.Equal(
            [new UniqueKey(Members.FullName, "(email)"), new UniqueKey(Members.FullName, "(number, tenant) NULLS NOT DISTINCT")], await fixture.Database.ReadUniqueKeysAsync(Token));
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_is_its_keys_version_until_a_row_or_a_newer_delete_replaces_it()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var loser = new UniqueLoser(Version(s_past, Ap, 0x77), Texts("1", "quote \" ü", null, "1"));
        loser.Values[3] = ColumnValue.Unchanged;
        await ApplyAsync(session, 0x100, s_past, Members, t => new SetLoser(t, Members.KeyOf("1"), loser, Members.KeyOf("2")), t => new SetLoser(t, Members.KeyOf("5"), loser));

        var state = await LookAsync(session, Members, Members.KeyOf("1"));
        Assert.Equal((null, loser.Version), (state.Row, state.Hidden!.Version));
        Assert.Equal(["1", "quote \" ü", null, "(unchanged)"], TextsOf(state.Hidden.Values));
        Assert.Equal(Members.FullName, Assert.Single(await fixture.Database.ReadTablesWithLosersAsync(Token)));
        var hidden = await fixture.Database.ReadLosersAsync(Members.FullName, 10, Token);
        Assert.Equal(("1", "2", "quote \" ü", null, loser.Version), (hidden[0].Key[0], hidden[0].HiddenBy![0], hidden[0].Row["email"], hidden[1].HiddenBy, hidden[0].Version));
        Assert.Equal(loser.Version, (await ReadRowsAsync(fixture, new RowToFetch(Members.FullName, Row.Of(("id", "1")))))[0]!.Override);
        await session.BeginAsync(Token);
        var table = await FindAsync(session, Members);
        Assert.Equal(["1"], (await session.ReadLosersAsync(table, null, 1, Token)).Select(k => k.Values[0]));
        Assert.Equal(["5"], (await session.ReadLosersAsync(table, Members.KeyOf("1"), 9, Token)).Select(k => k.Values[0]));
        await session.RollbackAsync(Token);

        await fixture.RunLocalAsync(Members.Insert("1", "other", null, null));
        Assert.Null((await LookAsync(session, Members, Members.KeyOf("1"))).Hidden);
        await fixture.RunLocalAsync(Members.Delete(Members.KeyOf("1")));
        await fixture.Database.SaveTombstonesAsync([new Tombstone(Members.FullName, Members.KeyOf("1").ToText(), Version(s_future, Node, 0x9))], Token);
        Assert.Null((await LookAsync(session, Members, Members.KeyOf("1"))).Hidden);

        // The delete goes, and takes the loser with it: it must not count again.
        await fixture.Database.CollectAsync(DependencyVector.Of([new(Node, At(0xFFFF)), new(Ap, At(0xFFFF)), new(Us, At(0xFFFF))]), await HorizonAsync(fixture), Token);
        var collected = await LookAsync(session, Members, Members.KeyOf("1"));
        Assert.Equal((null, null), (collected.Tombstone, collected.Loser));
        Assert.NotNull((await LookAsync(session, Members, Members.KeyOf("5"))).Hidden);
        await ApplyAsync(session, 0x200, s_past, Members, t => new SetLoser(t, Members.KeyOf("5"), null));
        Assert.Empty(await fixture.Database.ReadTablesWithLosersAsync(Token));
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_goes_with_a_delete_of_many_rows()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Members,
            t => new SetLoser(t, Members.KeyOf("300"), new UniqueLoser(Version(s_past, Ap, 0x77), Texts("300", "x", null, "300"))),
            t => new SetLoser(t, Members.KeyOf("299"), new UniqueLoser(Version(s_farFuture, Ap, 0x78), Texts("299", "x", null, "299"))),
            t => new SetLoser(t, Members.KeyOf("301"), new UniqueLoser(Version(s_past, Ap, 0x79), Texts("301", "x", null, "301"))));
        await fixture.Database.SaveTombstonesAsync([.. Enumerable.Range(1, 300).Select(i => new Tombstone(Members.FullName, Members.KeyOf($"{i}").ToText(), Version(s_future, Node, 0x9)))], Token);
        await fixture.Database.CollectAsync(DependencyVector.Empty.Advance(Node, At(0x9)), await HorizonAsync(fixture), Token);
        Assert.Equal(["299", "301"], (await fixture.Database.ReadLosersAsync(null, 10, Token)).Select(l => l.Key[0]).Order());
    }

    [Fact]
    [Trait("Story", "16")]
    public async Task Truncate_takes_the_losers_that_it_covers()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Members,
            t => new SetLoser(t, Members.KeyOf("1"), new UniqueLoser(Version(s_past, Ap, 0x77), Texts("1", "x", null, "1"))),
            t => new SetLoser(t, Members.KeyOf("2"), new UniqueLoser(Version(s_farFuture, Ap, 0x78), Texts("2", "x", null, "2"))));
        await ApplyAsync(session, 0x200, s_past, Members, t => new TruncateTable(t, Version(s_future, Us, 0x200), []));
        Assert.Equal("2", Assert.Single(await fixture.Database.ReadLosersAsync(null, 10, Token)).Key[0]);
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Version_that_a_loser_is_compared_with_is_never_collected()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Members.Insert("1", "x", "t", "1"));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var xid = (await LookAsync(session, Members, Members.KeyOf("1"))).Row!.Xid;
        await ApplyAsync(session, 0x100, s_past, Members,
            t => new InsertRow(t, Texts("2", "y", "t", "2")), t => new InsertRow(t, Texts("3", "z", "t", "3")),
            t => new SetOverride(t, Members.KeyOf("1"), Version(s_future, Ap, 0x1)) { IsKept = true, Xid = xid },
            t => new SetOverride(t, Members.KeyOf("2"), Version(s_future, Ap, 0x2)) { IsKept = true },
            t => new SetOverride(t, Members.KeyOf("3"), Version(s_future, Ap, 0x3)));
        foreach (var (key, isKept) in new[] { ("1", true), ("2", true), ("3", false), ("4", false) })
        {
            Assert.Equal((key, isKept), (key, (await LookAsync(session, Members, Members.KeyOf(key))).IsOverrideKept));
        }

        await fixture.Database.CollectAsync(DependencyVector.Of([new(Ap, At(0xFFFF)), new(Us, At(0xFFFF))]), await HorizonAsync(fixture), Token);
        Assert.Equal(Version(s_future, Ap, 0x1), (await LookAsync(session, Members, Members.KeyOf("1"))).Override);
        Assert.Equal(Version(s_future, Ap, 0x2), (await LookAsync(session, Members, Members.KeyOf("2"))).Override);
        Assert.Null((await LookAsync(session, Members, Members.KeyOf("3"))).Override);

        // It holds for one state of the row, as any override does; and one that can be collected takes its place.
        await fixture.RunLocalAsync(Members.Update(Members.KeyOf("1"), ("email", "w")));
        Assert.False((await LookAsync(session, Members, Members.KeyOf("1"))).IsOverrideKept);
        await ApplyAsync(session, 0x200, s_past, Members, t => new UpdateRow(t, Members.KeyOf("2"), [ColumnValue.Unchanged, ColumnValue.Of("v"), ColumnValue.Unchanged, ColumnValue.Unchanged]),
            t => new SetOverride(t, Members.KeyOf("2"), Version(s_future, Ap, 0x4)));
        Assert.False((await LookAsync(session, Members, Members.KeyOf("2"))).IsOverrideKept);
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task What_the_node_settles_itself_has_its_own_origin_and_the_servers_stamp()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);
        await using var session = await fixture.Database.OpenApplySessionAsync(Node, Token);
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Members, t => new InsertRow(t, Texts("1", "x", null, "1")));
        await session.CommitAsync(default, CommitTimestamp.Unknown, Token);
        await session.FlushAsync(Token);

        var captured = await reader.NextAsync("what the node settled");
        Assert.Equal((Node, 0), (captured.ForeignOrigin, captured.Changes.Count));
        // The log's record of it has no stamp of its own; the row has.
        var row = (await LookAsync(session, Members, Members.KeyOf("1"))).Row!;
        Assert.Equal((Node, true), (row.Origin, row.Stamp > s_past));
    }
}
