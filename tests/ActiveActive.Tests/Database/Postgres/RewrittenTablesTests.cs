using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace ActiveActive.Tests.Database.Postgres;

public sealed class RewrittenTablesTests
{
    [Fact]
    public async Task Of_a_table_that_is_truncated_again_and_again_the_latest_files_are_known_and_no_others_are_kept()
    {
        await using var source = NpgsqlDataSource.Create("Host=nowhere");
        using var tables = new RewrittenTables(new PostgresDatabaseOptions { Node = new NodeName("eu"), ConnectionString = "Host=nowhere", Peers = [], Tables = new ReplicatedTables([]) }, source, NullLogger.Instance);
        Assert.True(tables.IsKnown(7, 7));
        Assert.False(tables.IsKnown(7, 101));
        for (var file = 101u; file <= 1000; file++)
        {
            tables.AddFile(7, file);
            tables.AddFile(7, file);
            Assert.True(tables.IsKnown(7, file));
        }

        // A rollback brings the former one back.
        Assert.True(tables.IsKnown(7, 999));
        Assert.False(tables.IsKnown(8, 1000));
        Assert.Equal([999u, 1000u], tables.KnownFiles.Order());
    }
}
