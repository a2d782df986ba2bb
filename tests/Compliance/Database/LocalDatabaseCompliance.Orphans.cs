using ActiveActive.Apply;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    [Trait("Story", "10")]
    public async Task Orphans_are_found_and_treated_as_their_foreign_key_says()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Owners.Insert("1"), Owners.Insert("2"), Pets.Insert("7", "1", "2"), Pets.Insert("8", null, "2"));
        await using (var session = await fixture.Database.OpenApplySessionAsync(Us, Token))
        {
            await ApplyAsync(session, 0x100, s_past, Owners, t => new DeleteRow(t, Owners.KeyOf("1")), t => new DeleteRow(t, Owners.KeyOf("2")));
        }

        await using var orphans = await fixture.Database.OpenOrphanSessionAsync(TimeSpan.FromSeconds(30), Token);
        var keys = await orphans.ReadForeignKeysAsync(Token);
        Assert.Equal(["pets_home_fkey Quarantine", "pets_owner_fkey SetNull"], keys.Select(k => $"{k.Name} {k.Policy}"));
        var (home, owner) = (keys[0], keys[1]);
        var homeless = await orphans.ReadOrphansAsync(home, 10, Token);
        Assert.Equal([("7", "2"), ("8", "2")], homeless.Select(o => (o.Key[0], o.Values[0]!)));
        Assert.Single(await orphans.ReadOrphansAsync(home, 1, Token));
        var stray = Assert.Single(await orphans.ReadOrphansAsync(owner, 10, Token));

        // Once: it is no orphan any more.
        Assert.True(await orphans.RepairAsync(owner, stray, Token));
        Assert.False(await orphans.RepairAsync(owner, stray, Token));
        Assert.Equal(["7|∅|2", "8|∅|2"], await fixture.ReadRowsAsync(Pets));

        Assert.True(await orphans.RepairAsync(home, homeless[0], Token));
        Assert.Equal(["8|∅|2"], await fixture.ReadRowsAsync(Pets));
        var hidden = Assert.Single(await orphans.ReadQuarantinedAsync(Pets.FullName, 10, Token));
        Assert.Equal(("7", "pets_home_fkey", "2", null, false), (hidden.Key[0], hidden.Constraint, hidden.Row["home"], hidden.Row["owner"], hidden.IsReplaced));
        Assert.Empty(await orphans.ReadQuarantinedAsync(Items.FullName, 10, Token));

        Assert.Equal(OrphanReturn.Waits, await orphans.ReturnAsync(Pets.KeyOf("7"), [home], isDryRun: false, Token));
        await fixture.RunLocalAsync(Owners.Insert("2"));
        Assert.False(await orphans.RepairAsync(home, homeless[1], Token));
        Assert.Equal(OrphanReturn.Returned, await orphans.ReturnAsync(Pets.KeyOf("7"), [home], isDryRun: true, Token));
        Assert.Equal(["8|∅|2"], await fixture.ReadRowsAsync(Pets));
        Assert.Equal(OrphanReturn.Returned, await orphans.ReturnAsync(Pets.KeyOf("7"), [home], isDryRun: false, Token));
        Assert.Equal(OrphanReturn.Gone, await orphans.ReturnAsync(Pets.KeyOf("7"), [home], isDryRun: false, Token));
        Assert.Equal(["7|∅|2", "8|∅|2"], await fixture.ReadRowsAsync(Pets));
        Assert.Empty(await orphans.ReadQuarantinedAsync(null, 10, Token));
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Row_out_of_sight_whose_key_is_taken_is_marked_and_stays_until_it_is_discarded()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Owners.Insert("2"), Pets.Insert("7", null, "2"));
        await using (var session = await fixture.Database.OpenApplySessionAsync(Us, Token))
        {
            await ApplyAsync(session, 0x100, s_past, Owners, t => new DeleteRow(t, Owners.KeyOf("2")));
        }

        await using var orphans = await fixture.Database.OpenOrphanSessionAsync(TimeSpan.Zero, Token);
        var home = (await orphans.ReadForeignKeysAsync(Token))[0];
        Assert.True(await orphans.RepairAsync(home, Assert.Single(await orphans.ReadOrphansAsync(home, 10, Token)), Token));
        await fixture.RunLocalAsync(Pets.Insert("7", null, null));
        Assert.Equal(OrphanReturn.Replaced, await orphans.ReturnAsync(Pets.KeyOf("7"), [home], isDryRun: false, Token));
        await fixture.RunLocalAsync(Pets.Delete(Pets.KeyOf("7")), Owners.Insert("2"));
        Assert.Equal(OrphanReturn.Gone, await orphans.ReturnAsync(Pets.KeyOf("7"), [home], isDryRun: false, Token));
        Assert.True(Assert.Single(await orphans.ReadQuarantinedAsync(null, 10, Token)).IsReplaced);
        Assert.True(await orphans.DiscardAsync(Pets.KeyOf("7"), Token));
        Assert.False(await orphans.DiscardAsync(Pets.KeyOf("7"), Token));
    }
}
