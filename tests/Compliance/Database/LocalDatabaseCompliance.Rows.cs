using ActiveActive.Apply;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    [Trait("Story", "8")]
    public async Task Rows_for_a_peer_are_committed_ones_whole_and_with_their_versions()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Documents.Insert("1", "title", new string('x', 9_000)), Pairs.Insert("x", "local", "y"));
        await fixture.RunLocalAsync(Documents.Update(Documents.KeyOf("1"), ("title", "changed")));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("1", "applied", null)));
        await ApplyAsync(session, 0x110, s_past, Accounts, t => new InsertRow(t, Texts("1", "ann", "5")), t => new SetOverride(t, Accounts.KeyOf("1"), Version(s_future, Ap, 0x77)));
        // Not committed: readers see what it replaces, and do not wait for it.
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Documents, t => new UpdateRow(t, Documents.KeyOf("1"), Texts("1", "not yet", "y")));

        var rows = await ReadRowsAsync(fixture, new(Documents.FullName, Row.Of(("id", "1"))), new(Documents.FullName, Row.Of(("id", "2"))),
            new(Pairs.FullName, Row.Of(("a", "x"), ("b", "y"))), new(Items.FullName, Row.Of(("id", "1"))), new(Accounts.FullName, Row.Of(("id", "1"))));
        await session.RollbackAsync(Token);

        Assert.Equal(["1", "changed", new string('x', 9_000)], TextsOf(rows[0]!.Row!.Values));
        Assert.Equal((Node, true, null), (rows[0]!.Row!.Origin, rows[0]!.Row!.Stamp.IsKnown, rows[0]!.Override));
        Assert.Null(rows[1]);
        Assert.Equal("local", rows[2]!.Row!.Values[1].Text);
        Assert.Equal((Us, s_past), (rows[3]!.Row!.Origin, rows[3]!.Row!.Stamp));
        Assert.Equal(Version(s_future, Ap, 0x77), rows[4]!.Override);
    }

    [Fact]
    [Trait("Story", "8")]
    public async Task Rows_for_a_peer_are_those_of_replicated_tables_by_their_keys()
    {
        await using var fixture = await CreateAsync();
        foreach (var asked in new RowToFetch[]
        {
            new(new("public", "no_such_table"), Row.Of(("id", "1"))), new(new("active_active", "conflict"), Row.Of(("id", "1"))), new(new("pg_catalog", "pg_authid"), Row.Of(("oid", "10"))),
            new(Items.FullName, Row.Of(("name", "x"))), new(Items.FullName, Row.Of(("id", "1"), ("name", "x"))), new(Items.FullName, Row.Of(("id", null))),
        })
        {
            await FailsAsync(ReplicationErrorKind.ApplyRefused, () => ReadRowsAsync(fixture, asked));
        }
    }

    private static async Task<List<StoredRow?>> ReadRowsAsync(LocalDatabaseFixture fixture, params RowToFetch[] rows)
    {
        var read = new List<StoredRow?>();
        await foreach (var row in fixture.Database.ReadRowsAsync(rows, Token)) read.Add(row);
        return read;
    }
}
