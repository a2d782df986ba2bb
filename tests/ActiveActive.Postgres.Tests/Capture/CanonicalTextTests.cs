using Npgsql;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class CanonicalTextTests(CaptureServers servers)
{
    [Theory]
    [InlineData(15, "DATABASE")]
    [InlineData(18, "DATABASE")]
    [InlineData(15, "ROLE")]
    [InlineData(18, "ROLE")]
    public async Task Settings_of_a_database_role_or_connection_string_change_no_text(int version, string level)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, """
            CREATE TABLE t (id int PRIMARY KEY, d date, ts timestamptz, b bytea, i interval, m money, f float8, r regclass);
            CREATE TABLE "Ünïcode ""q"" table" ("Größe" text PRIMARY KEY);
            """);
        var role = $"reader_{database.Oid}_{version}";
        await database.ExecuteAsync($"CREATE ROLE {role} LOGIN REPLICATION SUPERUSER PASSWORD 'secret'");
        var target = level == "ROLE" ? $"ROLE {role}" : $"DATABASE {database.Name}";
        foreach (var setting in (string[])["DateStyle = 'German, DMY'", "TimeZone = 'Asia/Tokyo'", "bytea_output = 'escape'", "IntervalStyle = 'iso_8601'", "extra_float_digits = -5", "search_path = public, pg_catalog"])
            await database.ExecuteAsync($"ALTER {target} SET {setting}");

        // money is printed by locale; whatever the server's machine has, C is what the library asks for.
        if (await database.ScalarAsync<string>("SELECT coalesce((SELECT collname FROM pg_collation WHERE collname = 'de_DE.utf8' LIMIT 1), '')") is { Length: > 0 } locale)
            await database.ExecuteAsync($"ALTER {target} SET lc_monetary = '{locale}'");
        database.ConnectionString = new NpgsqlConnectionStringBuilder(database.ConnectionString)
        {
            Username = role,
            Password = "secret",
            Timezone = "America/New_York",
            SearchPath = "public",
            Options = "-c DateStyle=SQL,MDY",
        }.ConnectionString;

        await using (var reader = await database.OpenAsync())
        {
            await database.ExecuteAsync("""
                INSERT INTO t VALUES (1, DATE '2024-02-03', TIMESTAMPTZ '2024-02-03 04:05:06.789+01', '\x00ff41', INTERVAL '1 year 2 days 3 hours', 1234.5::money, 0.1::float8 + 0.2, 't');
                INSERT INTO "Ünïcode ""q"" table" VALUES ('€ 😀')
                """);
            Assert.Equal(
                [
                    @"public.t +(1, 2024-02-03, 2024-02-03 03:05:06.789+00, \x00ff41, 1 year 2 days 03:00:00, $1,234.50, 0.30000000000000004, public.t)",
                    "public.Ünïcode \"q\" table +(€ 😀)",
                ],
                RowText.Of(await reader.ReadChangesAsync()));
        }

        await database.ExecuteAsync($"ALTER DATABASE {database.Name} RESET ALL");
    }
}
