using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Tombstone_gives_way_only_to_a_newer_one()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Items.KeyOf("1");

        await ApplyAsync(session, 0x100, s_past, Items, t => new SetTombstone(t, key, Version(s_future, Us, 0x100)));
        await ApplyAsync(session, 0x200, s_past, Items, t => new SetTombstone(t, key, Version(s_past, Ap, 0x900)));
        Assert.Equal(Version(s_future, Us, 0x100), (await LookAsync(session, Items, key)).Tombstone);

        // Within one transaction, too.
        await ApplyAsync(session, 0x250, s_past, Items,
            t => new SetTombstone(t, Items.KeyOf("2"), Version(s_future, Us, 0x250)), t => new SetTombstone(t, Items.KeyOf("2"), Version(s_past, Ap, 0x900)));
        Assert.Equal(Version(s_future, Us, 0x250), (await LookAsync(session, Items, Items.KeyOf("2"))).Tombstone);

        // One origin's deletes are ordered by its log, whatever their stamps.
        await ApplyAsync(session, 0x300, s_past, Items, t => new SetTombstone(t, key, Version(s_past, Us, 0x300)));
        Assert.Equal(Version(s_past, Us, 0x300), (await LookAsync(session, Items, key)).Tombstone);

        // Equal stamps are ordered by the node's name.
        await ApplyAsync(session, 0x400, s_past, Items, t => new SetTombstone(t, key, Version(s_past, Ap, 0x400)));
        Assert.Equal(Version(s_past, Us, 0x300), (await LookAsync(session, Items, key)).Tombstone);
    }

    [Fact]
    public async Task Saved_tombstone_never_replaces_a_newer_one()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Pairs.KeyOf("quote \" and \\", "ü");
        var newer = Version(s_future, Us, 0x100);
        await ApplyAsync(session, 0x100, s_past, Pairs, t => new SetTombstone(t, key, newer));

        await fixture.Database.SaveTombstonesAsync(
            [
                new Tombstone(Pairs.FullName, key.ToText(), Version(s_past, Node, 0x50)),
                new Tombstone(Items.FullName, Items.KeyOf("1").ToText(), Version(s_past, Node, 0x50)),
                new Tombstone(Items.FullName, Items.KeyOf("1").ToText(), Version(s_past, Node, 0x60)),
                new Tombstone(Items.FullName, Items.KeyOf("1").ToText(), Version(s_past, Node, 0x40)),
            ], Token);
        await fixture.Database.SaveTombstonesAsync([], Token);

        Assert.Equal(newer, (await LookAsync(session, Pairs, key)).Tombstone);
        Assert.Equal(Version(s_past, Node, 0x60), (await LookAsync(session, Items, Items.KeyOf("1"))).Tombstone);
    }

    [Fact]
    public async Task Newer_of_the_keys_and_the_tables_tombstone_is_read()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);

        await fixture.Database.SaveTombstonesAsync(
            [
                new Tombstone(Items.FullName, "", Version(s_future, Node, 0x50)),
                new Tombstone(Items.FullName, Items.KeyOf("1").ToText(), Version(s_past, Us, 0x40)),
                new Tombstone(Items.FullName, Items.KeyOf("2").ToText(), Version(s_farFuture, Us, 0x40)),
            ], Token);

        Assert.Equal(s_future, (await LookAsync(session, Items, Items.KeyOf("1"))).Tombstone?.Stamp);
        Assert.Equal(s_farFuture, (await LookAsync(session, Items, Items.KeyOf("2"))).Tombstone?.Stamp);
        Assert.Equal(s_future, (await LookAsync(session, Items, Items.KeyOf("3"))).Tombstone?.Stamp);
        Assert.Null((await LookAsync(session, Pairs, Pairs.KeyOf("1", "1"))).Tombstone);
    }

    [Fact]
    public async Task Override_is_valid_until_the_row_is_written_again()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Accounts.Insert("1", "ann", "10"));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Accounts.KeyOf("1");
        var truth = Version(s_future, Ap, 0x90);

        await ApplyAsync(session, 0x100, s_past, Accounts,
            t => new UpdateRow(t, key, [s_keep, s_keep, ColumnValue.Of("17")]), t => new SetOverride(t, key, truth));
        Assert.Equal(truth, (await LookAsync(session, Accounts, key)).Override);

        await fixture.RunLocalAsync(Accounts.Update(key, ("balance", "18")));
        Assert.Null((await LookAsync(session, Accounts, key)).Override);

        await ApplyAsync(session, 0x200, s_past, Accounts,
            t => new UpdateRow(t, key, [s_keep, s_keep, ColumnValue.Of("19")]), t => new SetOverride(t, key, truth));
        await ApplyAsync(session, 0x300, s_past, Accounts, t => new SetOverride(t, key, null));
        Assert.Null((await LookAsync(session, Accounts, key)).Override);
    }

    [Fact]
    public async Task Siblings_are_valid_until_the_row_is_written_again()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Profiles.KeyOf("1");
        Sibling[] siblings =
        [
            new(Version(s_past, Ap, 0x90), Texts("1", "{\"a\",b\\}", null)),
            new(Version(s_future, Us, 0x100), null),
        ];

        await ApplyAsync(session, 0x100, s_past, Profiles, t => new InsertRow(t, Texts("1", "{a,b}", null)), t => new SetSiblings(t, key, siblings));
        AssertSame(siblings, (await LookAsync(session, Profiles, key)).Siblings);

        await fixture.RunLocalAsync(Profiles.Update(key, ("tags", "{c}")));
        Assert.Empty((await LookAsync(session, Profiles, key)).Siblings);

        await ApplyAsync(session, 0x200, s_past, Profiles,
            t => new UpdateRow(t, key, [s_keep, ColumnValue.Of("{d}"), s_keep]), t => new SetSiblings(t, key, siblings));
        await ApplyAsync(session, 0x300, s_past, Profiles, t => new SetSiblings(t, key, []));
        Assert.Empty((await LookAsync(session, Profiles, key)).Siblings);
    }

    [Fact]
    public async Task Siblings_of_a_missing_row_are_valid_until_it_is_written()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Profiles.KeyOf("1");
        Sibling[] siblings = [new(Version(s_past, Ap, 0x90), Texts("1", "{a}", null)), new(Version(s_future, Us, 0x100), null)];

        await ApplyAsync(session, 0x100, s_past, Profiles, t => new SetSiblings(t, key, siblings));
        var missing = await LookAsync(session, Profiles, key);
        await fixture.RunLocalAsync(Profiles.Insert("1", "{c}", null));

        Assert.Null(missing.Row);
        AssertSame(siblings, missing.Siblings);
        Assert.Empty((await LookAsync(session, Profiles, key)).Siblings);
    }

    [Fact]
    public async Task Siblings_of_a_row_are_not_those_of_its_absence()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Profiles.KeyOf("1");
        await ApplyAsync(session, 0x100, s_past, Profiles,
            t => new InsertRow(t, Texts("1", "{a}", null)), t => new SetSiblings(t, key, [new Sibling(Version(s_past, Ap, 0x90), null)]));
        Assert.Single((await LookAsync(session, Profiles, key)).Siblings);

        await fixture.RunLocalAsync(Profiles.Delete(key));

        var missing = await LookAsync(session, Profiles, key);
        Assert.Null(missing.Row);
        Assert.Empty(missing.Siblings);
    }

    [Fact]
    public async Task Notes_of_a_transaction_end_with_the_state_they_were_made_for()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var key = Profiles.KeyOf("1");
        var truth = Version(s_future, Ap, 0x90);

        await ApplyAsync(session, 0x100, s_past, Profiles,
            t => new InsertRow(t, Texts("1", "{a}", null)), t => new SetOverride(t, key, truth), t => new SetSiblings(t, key, [new Sibling(truth, null)]),
            t => new UpdateRow(t, key, Texts("1", "{b}", null)));
        var updated = await LookAsync(session, Profiles, key);
        await ApplyAsync(session, 0x200, s_past, Profiles,
            t => new UpdateRow(t, key, Texts("1", "{c}", null)), t => new SetOverride(t, key, truth), t => new SetSiblings(t, key, [new Sibling(truth, null)]),
            t => new DeleteRow(t, key), t => new InsertRow(t, Texts("1", "{d}", null)));
        var inserted = await LookAsync(session, Profiles, key);

        Assert.True(updated is { Override: null, Siblings.Count: 0 });
        Assert.True(inserted is { Override: null, Siblings.Count: 0 });
    }

    [Fact]
    public async Task Collection_drops_what_the_vector_covers()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Profiles,
            t => new SetTombstone(t, Profiles.KeyOf("1"), Version(s_past, Us, 0x100)),
            t => new SetTombstone(t, Profiles.KeyOf("2"), Version(s_past, Us, 0x101)),
            t => new SetTombstone(t, Profiles.KeyOf("3"), Version(s_past, Ap, 0x100)),
            t => new InsertRow(t, Texts("4", "{}", null)), t => new SetOverride(t, Profiles.KeyOf("4"), Version(s_past, Us, 0x100)),
            t => new InsertRow(t, Texts("5", "{}", null)), t => new SetOverride(t, Profiles.KeyOf("5"), Version(s_past, Us, 0x101)),
            t => new SetSiblings(t, Profiles.KeyOf("4"), [new Sibling(Version(s_past, Us, 0x90), null), new Sibling(Version(s_past, Us, 0x100), null)]),
            t => new SetSiblings(t, Profiles.KeyOf("5"), [new Sibling(Version(s_past, Us, 0x90), null), new Sibling(Version(s_past, Ap, 0x90), null)]));

        await fixture.Database.CollectAsync(DependencyVector.Empty.Advance(Us, At(0x100)), await HorizonAsync(fixture), Token);

        Assert.Equal(KeyState.Nothing with { Siblings = [] }, await LookAsync(session, Profiles, Profiles.KeyOf("1")) with { Siblings = KeyState.Nothing.Siblings });
        Assert.NotNull((await LookAsync(session, Profiles, Profiles.KeyOf("2"))).Tombstone);
        Assert.NotNull((await LookAsync(session, Profiles, Profiles.KeyOf("3"))).Tombstone);
        var covered = await LookAsync(session, Profiles, Profiles.KeyOf("4"));
        Assert.Null(covered.Override);
        Assert.Empty(covered.Siblings);
        var kept = await LookAsync(session, Profiles, Profiles.KeyOf("5"));
        Assert.Equal(Version(s_past, Us, 0x101), kept.Override);
        Assert.Equal(2, kept.Siblings.Count);
    }

    [Fact]
    public async Task Notes_of_a_row_whose_transaction_may_not_be_stable_stay()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var before = await HorizonAsync(fixture);
        await ApplyAsync(session, 0x100, s_past, Profiles,
            t => new InsertRow(t, Texts("4", "{}", null)), t => new SetOverride(t, Profiles.KeyOf("4"), Version(s_past, Us, 0x80)),
            t => new SetSiblings(t, Profiles.KeyOf("4"), [new Sibling(Version(s_past, Us, 0x80), null)]),
            t => new SetSiblings(t, Profiles.KeyOf("5"), [new Sibling(Version(s_past, Us, 0x80), null)]));
        var stable = DependencyVector.Empty.Advance(Us, At(0x90));

        await fixture.Database.CollectAsync(stable, 0, Token);
        await fixture.Database.CollectAsync(stable, before, Token);
        var kept = await LookAsync(session, Profiles, Profiles.KeyOf("4"));
        Assert.NotNull(kept.Override);
        Assert.Single(kept.Siblings);
        // Of a key without a row no transaction is shown.
        Assert.Empty((await LookAsync(session, Profiles, Profiles.KeyOf("5"))).Siblings);

        await fixture.Database.CollectAsync(stable, await HorizonAsync(fixture), Token);
        var dropped = await LookAsync(session, Profiles, Profiles.KeyOf("4"));
        Assert.Null(dropped.Override);
        Assert.Empty(dropped.Siblings);
    }

    [Fact]
    public async Task Greatest_delete_of_a_key_never_falls_back_by_collection()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await fixture.Database.SaveTombstonesAsync(
            [
                new Tombstone(Items.FullName, "", Version(s_past, Ap, 0x500)),
                new Tombstone(Items.FullName, Items.KeyOf("1").ToText(), Version(s_future, Us, 0x100)),
                new Tombstone(Accounts.FullName, "", Version(s_future, Us, 0x100)),
                new Tombstone(Accounts.FullName, Accounts.KeyOf("1").ToText(), Version(s_past, Ap, 0x500)),
            ], Token);

        await fixture.Database.CollectAsync(DependencyVector.Empty.Advance(Us, At(0x100)), await HorizonAsync(fixture), Token);

        Assert.Equal(Version(s_future, Us, 0x100), (await LookAsync(session, Items, Items.KeyOf("1"))).Tombstone);
        Assert.Null((await LookAsync(session, Accounts, Accounts.KeyOf("1"))).Tombstone);
    }

    [Fact]
    public async Task Deletes_of_many_rows_are_found_and_collected_as_those_of_one_are()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var many = Enumerable.Range(1, 300).Select(i => Items.KeyOf($"{i}")).ToList();
        RowVersion deleted = Version(s_past.Next, Node, 0x50), older = Version(s_past, Ap, 0x40), newer = Version(s_past.Next.Next, Ap, 0x60);
        await SaveManyAsync(Items, deleted);
        await SaveManyAsync(Items, deleted);
        await fixture.Database.SaveTombstonesAsync([new(Items.FullName, many[16].ToText(), newer), new(Items.FullName, many[17].ToText(), older)], Token);

        Assert.Equal([newer, deleted, deleted, null], [await TombstoneAsync("17"), await TombstoneAsync("18"), await TombstoneAsync("300"), await TombstoneAsync("301")]);
        await SaveManyAsync(Items, older);
        await SaveManyAsync(Items, Version(s_past.Next, Node, 0x55));
        Assert.Equal([newer, Version(s_past.Next, Node, 0x55)], [await TombstoneAsync("17"), await TombstoneAsync("18")]);

        await session.BeginAsync(Token);
        Assert.True((await session.FindTombstoneAsync([Items.KeyOf("301"), Items.KeyOf("19")], Token)).IsFound);
        Assert.False((await session.FindTombstoneAsync([Items.KeyOf("301"), Accounts.KeyOf("19")], Token)).IsFound);
        var items = await FindAsync(session, Items);
        await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("301", "of none", null)));
        Assert.False((await session.FindTombstoneOfOwnRowAsync(items, deleted, Token)).IsFound);
        await ExecuteAsync(session, Items, t => new InsertRow(t, Texts("20", "of one", null)));
        Assert.True((await session.FindTombstoneOfOwnRowAsync(items, deleted, Token)).IsFound);
        await session.RollbackAsync(Token);

        await fixture.Database.CollectAsync(DependencyVector.Empty.Advance(Node, At(0x50)).Advance(Ap, At(0x60)), await HorizonAsync(fixture), Token);
        Assert.Equal(Version(s_past.Next, Node, 0x55), await TombstoneAsync("300"));
        // Its newer one is stable, and must not leave the older one behind.
        Assert.NotEqual(Version(s_past.Next, Node, 0x55), await TombstoneAsync("17"));

        // With that of the table among them, as where one transaction deletes rows and truncates.
        await fixture.Database.SaveTombstonesAsync([.. many.Select(key => new Tombstone(Accounts.FullName, key.ToText(), deleted)), new(Accounts.FullName, "", deleted)], Token);
        await session.BeginAsync(Token);
        Assert.True((await session.FindTombstoneAsync([Accounts.KeyOf("999")], Token)).IsFound);
        Assert.Equal((deleted, deleted), ((await ReadKeyAsync(session, Accounts, Accounts.KeyOf("999"))).TableTombstone, (await ReadKeyAsync(session, Accounts, Accounts.KeyOf("5"))).Tombstone));
        await ExecuteAsync(session, Accounts, t => new InsertRow(t, Texts("999", "none", "0")));
        Assert.True((await session.FindTombstoneOfOwnRowAsync(await FindAsync(session, Accounts), older, Token)).IsFound);
        await session.RollbackAsync(Token);

        // One above its table's stays while that lives; what is below goes with it.
        await SaveManyAsync(Items, newer);
        await fixture.Database.SaveTombstonesAsync([new(Items.FullName, "", Version(s_past, Us, 0x70))], Token);
        await fixture.Database.CollectAsync(DependencyVector.Empty.Advance(Node, At(0x60)).Advance(Ap, At(0x60)), await HorizonAsync(fixture), Token);
        Assert.Equal([newer, newer], [await TombstoneAsync("17"), await TombstoneAsync("300")]);
        await fixture.Database.SaveTombstonesAsync([new(Items.FullName, "", Version(s_future, Us, 0x71))], Token);
        await fixture.Database.CollectAsync(DependencyVector.Empty.Advance(Us, At(0x71)), await HorizonAsync(fixture), Token);
        Assert.Equal([null, null], [await TombstoneAsync("17"), await TombstoneAsync("300")]);

        ValueTask SaveManyAsync(ComplianceTable table, RowVersion version) => fixture.Database.SaveTombstonesAsync([.. many.Select(key => new Tombstone(table.FullName, key.ToText(), version))], Token);

        async Task<RowVersion?> TombstoneAsync(string id) => (await LookAsync(session, Items, Items.KeyOf(id))).Tombstone;
    }

    private static void AssertSame(IReadOnlyList<Sibling> expected, IReadOnlyList<Sibling> actual)
    {
        Assert.Equal(expected.Select(s => s.Version), actual.Select(s => s.Version));
        Assert.Equal(expected.Select(s => s.Values), actual.Select(s => s.Values));
    }
}
