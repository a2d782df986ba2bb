using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.SetUp;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Types;

/// <summary>Every type that can be a primary key: set-up refuses it where equal values have different texts, else its rows are found again.</summary>
[Collection(ClusterServers.Tables)]
public sealed class KeyTypesTests(ClusterServers servers)
{
    /// <summary>Their own equality holds values with different texts to be equal: 1.0 and 1.00, -0 and 0, 24 hours and a day.</summary>
    private static readonly string[] s_ambiguous =
    [
        "float4", "float8", "numeric", "interval", "jsonb", "citext", "bpchar", "tsquery", "numbers", "outer_type", "float_range", "numrange",
        "cube", "seg",
    ];

    private const string Columns = "k %s PRIMARY KEY, note text, changes int NOT NULL DEFAULT 0";

    [Theory]
    [InlineData(15, 15, Traits = ["Run", "Long"])]
    [InlineData(18, 18, Traits = ["Run", "Long"])]
    [InlineData(15, 18)]
    public async Task A_row_is_found_by_a_key_of_every_type(int first, int second)
    {
        var ambiguous = string.Join(", ", s_ambiguous.Select(t => $"'{t}'"));
        await using var cluster = await TypeCluster.StartAsync(await servers.GetAsync(first, second), TypeSchema.Tables(Columns, $"""
            t.typtype <> 'c' AND t.typname NOT IN ({ambiguous})
            AND NOT EXISTS (SELECT FROM pg_type p LEFT JOIN pg_range r ON r.rngtypid = p.oid OR r.rngmultitypid = p.oid
                            LEFT JOIN pg_range mr ON mr.rngmultitypid = t.oid
                            WHERE (p.typname IN ({ambiguous}) OR p.typtype = 'c')
                              AND p.oid IN (t.typelem, t.typbasetype, mr.rngtypid,
                                            (SELECT x.typelem FROM pg_type x WHERE x.oid = t.typbasetype), (SELECT x.rngsubtype FROM pg_range x WHERE x.rngtypid IN (t.oid, t.typelem)),
                                            (SELECT y.rngtypid FROM pg_range y WHERE y.rngmultitypid = t.typelem)))
            """), TypeSchema.Extensions);
        var types = await PostgresType.ReadAsync(cluster, 0, TypeSchema.Schemas);
        var samples = new SampleExpressions(types, Math.Min(first, second));
        var tables = (await cluster.ReadAsync(0, "SELECT relname FROM pg_class WHERE relnamespace = 'types'::regnamespace AND relkind = 'r'"))
            .Intersect(await cluster.ReadAsync(1, "SELECT relname FROM pg_class WHERE relnamespace = 'types'::regnamespace AND relkind = 'r'")).ToHashSet();
        List<PostgresType> written = [];
        foreach (var type in types.Values.Where(t => tables.Contains($"{t.Schema}.{t.BareName}")))
        {
            var values = samples.Of(type.Name).Select((v, i) => $"({i}, {v})").ToList();
            if (values.Count == 0) continue;
            try
            {
                await cluster.ExecuteAsync(0, $"INSERT INTO {TypeSchema.TableOf(type)} SELECT v, i::text FROM (VALUES {string.Join(", ", values)}) AS s(i, v) ON CONFLICT DO NOTHING");
                written.Add(type);
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UndefinedFunction && type.IsArray)
            {
                // An array of elements without an order, such as xml[]: PostgreSQL lets it be a key, and then takes no row.
            }
        }

        Assert.True(written.Count > 100, $"Only {written.Count} types were tried.");
        await AssertIdenticalAsync(cluster, written);
        foreach (var type in written) await cluster.ExecuteAsync(1, $"UPDATE {TypeSchema.TableOf(type)} SET note = 'written on b', changes = changes + 1");
        await AssertIdenticalAsync(cluster, written);
        foreach (var type in written) await cluster.ExecuteAsync(0, $"DELETE FROM {TypeSchema.TableOf(type)} WHERE ctid = (SELECT min(ctid) FROM {TypeSchema.TableOf(type)})");
        await AssertIdenticalAsync(cluster, written);
        Assert.Equal(0, cluster[0].Node.Status.Conflicts + cluster[1].Node.Status.Conflicts);
    }

    [Theory]
    [InlineData("float8")]
    [InlineData("float4[]")]
    [InlineData("numeric")]
    [InlineData("numeric[]")]
    [InlineData("numrange")]
    [InlineData("nummultirange")]
    [InlineData("interval")]
    [InlineData("jsonb")]
    [InlineData("bpchar")]
    [InlineData("bpchar[]")]
    [InlineData("tsquery")]
    [InlineData("pair")]
    [InlineData("pair[]")]
    [InlineData("sums")]
    public async Task A_key_whose_equal_values_have_different_texts_is_refused(string type)
    {
        var server = (await servers.GetAsync(18))[0];
        await using var database = await SetUpDatabase.CreateAsync(server, $"""
            CREATE TYPE pair AS (a int, b float8);
            CREATE DOMAIN sums AS numeric[];
            CREATE TABLE t (k {type} PRIMARY KEY)
            """);
        var problem = Assert.Single(await database.ProblemsAsync());
        Assert.Equal("AA1309", problem.Code);
        Assert.Contains("Key column k of table public.t", problem.Problem, StringComparison.Ordinal);
    }

    private static async Task AssertIdenticalAsync(TypeCluster cluster, List<PostgresType> written)
    {
        await cluster.Cluster.QuietAsync(TimeSpan.FromSeconds(90));
        foreach (var chunk in written.Chunk(50))
        {
            var sql = string.Join("\nUNION ALL\n", chunk.Select(w => $"SELECT '{w.Name}', format('%s', k) AS k, note, changes FROM {TypeSchema.TableOf(w)}"));
            var left = await cluster.ReadAsync(0, sql);
            var right = await cluster.ReadAsync(1, sql);
            Assert.Equal(left.Order(StringComparer.Ordinal), right.Order(StringComparer.Ordinal));
        }
    }
}
