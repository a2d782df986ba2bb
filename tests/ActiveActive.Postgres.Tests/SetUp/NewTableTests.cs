using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;

namespace ActiveActive.Postgres.Tests.SetUp;

/// <summary>Tables that were created since set-up, met by an apply session.</summary>
[Collection(nameof(SetUpServers))]
public sealed class NewTableTests(SetUpServers servers)
{
    private static readonly NodeName s_us = new("us");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>As in a later part of a large transaction: its locks could be in the way of publishing.</summary>
    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task One_that_is_met_within_a_transaction_is_published_before_the_next_session_opens(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), "CREATE TABLE t (id int PRIMARY KEY)");
        await using var node = new PostgresDatabase(database.Options());
        await node.SetUpAsync(isJoining: false, Token);
        await database.AsOwnerAsync("CREATE TABLE late (id int PRIMARY KEY)");
        await using (var session = await node.OpenApplySessionAsync(s_us, Token))
        {
            await session.BeginAsync(Token);
            await session.ReadKeysAsync([At(await FindAsync(session, "t"))], Token);
            var notYet = await Assert.ThrowsAsync<ReplicationException>(() => FindAsync(session, "late"));
            Assert.Equal(ReplicationErrorKind.Transient, notYet.Kind);
            Assert.Equal(["t"], await database.PublishedAsync());
            await session.RollbackAsync(Token);
        }

        await using var next = await node.OpenApplySessionAsync(s_us, Token);
        Assert.Equal(["late", "t"], await database.PublishedAsync());
        await next.BeginAsync(Token);
        await next.ReadKeysAsync([At(await FindAsync(next, "t"))], Token);
        Assert.Equal("public.late", (await FindAsync(next, "late")).Name.ToString());
    }

    private static async Task<LocalTable> FindAsync(IApplySession session, string name)
    {
        var table = new TableName("public", name);
        return (await session.FindTableAsync(new Relation(table, table, []), Token))!;
    }

    private static LocalKey At(LocalTable table) => new(table, new RowKey(table.Name, ["1"]));
}
