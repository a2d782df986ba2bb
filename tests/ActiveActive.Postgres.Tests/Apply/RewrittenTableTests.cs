using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class RewrittenTableTests(ApplyServers servers)
{
    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task One_whose_versions_cannot_be_restored_stops_only_those_who_look_at_it(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, n bigint); INSERT INTO item VALUES (1, 1); CREATE TABLE other (id int PRIMARY KEY)");
        await using var lane = await database.OpenLaneAsync(Us);
        var item = await lane.TableAsync("public.item");
        // What the session knows of it is older.
        await database.RunAsync("ALTER TABLE item ALTER COLUMN n TYPE bigint USING n + 0; ALTER TABLE item DROP CONSTRAINT item_pkey");
        Assert.Equal(ReplicationErrorKind.Transient, await LookAsync());

        await using var bystander = await database.OpenLaneAsync(Asia);
        await bystander.ApplyAsync(1, Insert(await bystander.TableAsync("public.other"), "1"));
        Assert.Equal("1", await database.ReadAsync("SELECT count(*) FROM other"));

        // Who looks is told why, and it is tried again.
        Assert.Equal(ReplicationErrorKind.ApplyRefused, await LookAsync());
        await database.RunAsync("DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, n bigint)");
        lane.Session.ForgetTables();
        item = await lane.TableAsync("public.item");
        Assert.Null(await LookAsync());

        async Task<ReplicationErrorKind?> LookAsync()
        {
            await lane.Session.BeginAsync(default);
            var refused = await Record.ExceptionAsync(async () => await lane.Session.ReadKeysAsync([At(item, "1")], default));
            await lane.Session.RollbackAsync(default);
            return refused is null ? null : Assert.IsType<ReplicationException>(refused).Kind;
        }
    }
}
