using ActiveActive.Apply;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Truncate_deletes_what_is_not_after_it()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "local", null));
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await ApplyAsync(us, 0x100, s_past, Items, t => new InsertRow(t, Texts("2", "older", null)));
        await ApplyAsync(us, 0x200, s_farFuture, Items, t => new InsertRow(t, Texts("3", "same origin", null)));
        await ApplyAsync(ap, 0x100, s_farFuture, Items, t => new InsertRow(t, Texts("4", "newer", null)));
        var version = Version(s_future, Us, 0x300);

        await ApplyAsync(us, 0x300, s_future, Items,
            t => new InsertRow(t, Texts("5", "same transaction", null)), t => new TruncateTable(t, version), t => new InsertRow(t, Texts("6", "after", null)));

        Assert.Equal(["4|newer|∅", "6|after|∅"], await fixture.ReadRowsAsync(Items));
        Assert.Equal(version, (await LookAsync(us, Items, Items.KeyOf("77"))).Tombstone);
    }

    [Fact]
    public async Task Locked_table_lets_no_local_writer_in_before_the_transaction_ends()
    {
        await using var fixture = await CreateAsync();
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await us.BeginAsync(Token);
        await us.LockTableAsync(await FindAsync(us, Items), Token);

        var local = fixture.RunLocalAsync(Items.Insert("1", "local", null)).AsTask();
        await ExecuteAsync(us, Items, t => new InsertRow(t, Texts("1", "remote", null)));
        await us.CommitAsync(At(0x100), s_past, Token);

        await Assert.ThrowsAnyAsync<Exception>(() => local);
        Assert.Equal(["1|remote|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Truncate_goes_by_the_true_versions_of_rows()
    {
        await using var fixture = await CreateAsync();
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await ApplyAsync(ap, 0x100, s_past, Items,
            t => new InsertRow(t, Texts("1", "truly newer", null)), t => new SetOverride(t, Items.KeyOf("1"), Version(s_farFuture, Node, 0x100)),
            t => new InsertRow(t, Texts("2", "overwritten", null)), t => new SetOverride(t, Items.KeyOf("2"), Version(s_farFuture, Node, 0x100)),
            t => new InsertRow(t, Texts("3", "older", null)), t => new SetOverride(t, Items.KeyOf("3"), Version(s_past, Node, 0x100)));
        await fixture.RunLocalAsync(Items.Update(Items.KeyOf("2"), ("note", "local")));

        await ApplyAsync(us, 0x300, s_future, Items, t => new TruncateTable(t, Version(s_future, Us, 0x300)));

        Assert.Equal(["1|truly newer|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Truncate_takes_what_its_transaction_or_origin_wrote_before_whatever_an_override_says()
    {
        await using var fixture = await CreateAsync();
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await ApplyAsync(ap, 0x100, s_past, Items,
            t => new InsertRow(t, Texts("1", "truly the truncate's origin's", null)), t => new SetOverride(t, Items.KeyOf("1"), Version(s_farFuture, Us, 0x100)));

        await ApplyAsync(us, 0x300, s_future, Items,
            t => new InsertRow(t, Texts("2", "own", null)), t => new SetOverride(t, Items.KeyOf("2"), Version(s_farFuture, Ap, 0x50)),
            t => new TruncateTable(t, Version(s_future, Us, 0x300)), t => new InsertRow(t, Texts("2", "own again", null)));

        Assert.Equal(["2|own again|∅"], await fixture.ReadRowsAsync(Items));
        Assert.Null((await LookAsync(us, Items, Items.KeyOf("2"))).Override);
    }

    [Fact]
    public async Task Truncate_of_a_table_that_adds_up_keeps_only_keys_with_a_later_delete()
    {
        await using var fixture = await CreateAsync();
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await ApplyAsync(ap, 0x100, s_farFuture, Accounts,
            t => new InsertRow(t, Texts("1", "later, yet gone", "1")), t => new InsertRow(t, Texts("2", "deleted later, back since", "1")),
            t => new SetTombstone(t, Accounts.KeyOf("2"), Version(s_farFuture, Ap, 0x90)));

        await ApplyAsync(us, 0x300, s_future, Accounts, t => new TruncateTable(t, Version(s_future, Us, 0x300)));
        Assert.Equal(["2|deleted later, back since|1"], await fixture.ReadRowsAsync(Accounts));

        var older = Version(s_past, Ap, 0x95);
        await ApplyAsync(ap, 0x200, s_past, Accounts, t => new TruncateTable(t, older));
        Assert.Equal(["2|deleted later, back since|1"], await fixture.ReadRowsAsync(Accounts));
        Assert.Equal(Version(s_future, Us, 0x300), (await LookAsync(us, Accounts, Accounts.KeyOf("77"))).Tombstone);
    }

    [Fact]
    public async Task Truncate_of_a_partition_that_is_not_here_is_refused()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await session.BeginAsync(Token);

        await FailsAsync(ReplicationErrorKind.ApplyRefused, () => ExecuteAsync(
            session, Items, t => new TruncateTable(t, Version(s_future, Us, 0x300), new TableName("public", "items_of_may"))));
    }
}
