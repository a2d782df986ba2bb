using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Truncate_deletes_what_its_writer_had_seen_and_what_its_transaction_wrote_before()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "local", null));
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await ApplyAsync(us, 0x100, s_past, Items, t => new InsertRow(t, Texts("2", "same origin", null)));
        await ApplyAsync(ap, 0x100, s_past, Items, t => new InsertRow(t, Texts("3", "seen", null)));
        await ApplyAsync(ap, 0x200, s_farFuture, Items, t => new InsertRow(t, Texts("4", "unseen", null)));
        var version = Version(s_future, Us, 0x300);
        ShownVersion[] unseen = [new(s_farFuture, Ap)];

        await us.BeginAsync(Token);
        Assert.Equal([Items.KeyOf("4")], await UnseenAsync(us, Items, unseen));
        await ExecuteAsync(us, Items,
            t => new InsertRow(t, Texts("5", "same transaction", null)), t => new TruncateTable(t, version, unseen), t => new InsertRow(t, Texts("6", "after", null)));
        await us.CommitAsync(At(0x300), s_future, Token);

        Assert.Equal(["4|unseen|∅", "6|after|∅"], await fixture.ReadRowsAsync(Items));
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
    public async Task Truncate_leaves_rows_whose_true_version_is_stored_beside_them_to_be_decided_about()
    {
        await using var fixture = await CreateAsync();
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        Sibling[] siblings = [new(Version(s_past, Node, 0x50), Texts("3", "one", null)), new(Version(s_past, Ap, 0x100), Texts("3", "other", null))];
        await ApplyAsync(ap, 0x100, s_past, Items,
            t => new InsertRow(t, Texts("1", "overridden", null)), t => new SetOverride(t, Items.KeyOf("1"), Version(s_farFuture, Node, 0x100)),
            t => new InsertRow(t, Texts("2", "overwritten", null)), t => new SetOverride(t, Items.KeyOf("2"), Version(s_farFuture, Node, 0x100)),
            t => new InsertRow(t, Texts("3", "folded", null)), t => new SetSiblings(t, Items.KeyOf("3"), siblings),
            t => new SetSiblings(t, Items.KeyOf("4"), siblings));
        await fixture.RunLocalAsync(Items.Update(Items.KeyOf("2"), ("note", "local")));

        await us.BeginAsync(Token);
        await ExecuteAsync(us, Items, t => new InsertRow(t, Texts("5", "own", null)), t => new SetOverride(t, Items.KeyOf("5"), Version(s_past, Node, 0x50)), t => new SetSiblings(t, Items.KeyOf("6"), siblings));
        Assert.Equal(["1", "3", "4", "5", "6"], (await UnseenAsync(us, Items, [])).Select(k => k.Values[0]).Order(StringComparer.Ordinal));
        await ExecuteAsync(us, Items, t => new TruncateTable(t, Version(s_future, Us, 0x300), []));
        await us.CommitAsync(At(0x300), s_future, Token);

        Assert.Equal(["1|overridden|∅", "3|folded|∅", "5|own|∅"], await fixture.ReadRowsAsync(Items));
        Assert.Equal(2, (await LookAsync(us, Items, Items.KeyOf("3"))).Siblings.Count);
    }

    [Fact]
    public async Task Older_truncate_leaves_the_table_the_tombstone_of_the_newer()
    {
        await using var fixture = await CreateAsync();
        await using var us = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var ap = await fixture.Database.OpenApplySessionAsync(Ap, Token);
        await ApplyAsync(us, 0x300, s_future, Accounts, t => new TruncateTable(t, Version(s_future, Us, 0x300), []));
        await ApplyAsync(ap, 0x200, s_past, Accounts, t => new TruncateTable(t, Version(s_past, Ap, 0x200), []));

        Assert.Equal(Version(s_future, Us, 0x300), (await LookAsync(us, Accounts, Accounts.KeyOf("77"))).Tombstone);
    }

    [Fact]
    public async Task Truncate_of_a_partition_that_is_not_here_is_refused()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await session.BeginAsync(Token);

        await FailsAsync(ReplicationErrorKind.ApplyRefused, () => ExecuteAsync(
            session, Items, t => new TruncateTable(t, Version(s_future, Us, 0x300), [], new TableName("public", "items_of_may"))));
    }

    private static async Task<List<RowKey>> UnseenAsync(IApplySession session, ComplianceTable table, IReadOnlyCollection<ShownVersion> unseen)
    {
        var keys = new List<RowKey>();
        await foreach (var some in session.ReadUnseenAsync(await FindAsync(session, table), null, unseen, Token)) keys.AddRange(some.Select(k => k.Key));
        return keys;
    }
}
