using ActiveActive.Postgres.Tests.Cluster;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Types;

/// <summary>
/// Every type that <c>pg_type</c> lists and a column can have, between two databases that write values differently: what arrives has the
/// same text and the same binary form.
/// </summary>
[Collection(ClusterServers.Tables)]
public sealed class AllTypesTests(ClusterServers servers)
{
    private const int Second = 1000;

    [Theory]
    [InlineData(15, 15, Traits = ["Run", "Long"])]
    [InlineData(15, 18)]
    [Trait("Story", "33")]
    public async Task Every_type_arrives_bit_identical(int first, int second)
    {
        await using var cluster = await TypeCluster.StartAsync(
            await servers.GetAsync(first, second), TypeSchema.Tables("id int PRIMARY KEY, v %s"), TypeSchema.Extensions);
        var types = await CommonTypesAsync(cluster, first == second);
        var samples = new SampleExpressions(types, Math.Min(first, second));
        var columns = types.Values.Where(t => !PostgresType.HoldsPseudoType(t.Name, types)).ToList();
        await AssertTablesAsync(cluster, columns, types);
        var hasXml = await AcceptsAsync(cluster, "SELECT '<a/>'::pg_catalog.xml");

        List<(PostgresType Type, int Count)> written = [];
        foreach (var type in columns)
        {
            var values = !hasXml && type.Name is "pg_catalog.\"xml\"" ? [] : samples.Of(type.Name);
            if (values.Count == 0) await AssertRefusesAsync(cluster, type);
            written.Add((type, values.Count + 1));
            var rows = string.Join(",\n", values.Append($"NULL::{type.Name}").Select((v, i) => $"({i + 1}, {v})"));
            await cluster.ExecuteAsync(0, $"INSERT INTO {TypeSchema.TableOf(type)} VALUES {rows}");
            await cluster.ExecuteAsync(1, $"INSERT INTO {TypeSchema.TableOf(type)} SELECT id + {Second}, v FROM (VALUES {rows}) AS s(id, v)");
        }

        await AssertIdenticalAsync(cluster, "insert", types, written, count => 2 * count);
        await UpdateAsync(cluster, written);
        await AssertIdenticalAsync(cluster, "update", types, written, count => 2 * count);

        // From here on the whole old row travels, too.
        for (var node = 0; node < 2; node++)
        {
            await cluster.ExecuteAsync(node, $"DO $$ BEGIN {string.Concat(written.Select(w => $"ALTER TABLE {TypeSchema.TableOf(w.Type)} REPLICA IDENTITY FULL;\n"))} END $$");
        }

        await UpdateAsync(cluster, written);
        foreach (var (type, _) in written)
        {
            await cluster.ExecuteAsync(0, $"DELETE FROM {TypeSchema.TableOf(type)} WHERE id < {Second} AND id % 2 = 0");
            await cluster.ExecuteAsync(1, $"DELETE FROM {TypeSchema.TableOf(type)} WHERE id > {Second} AND id % 2 = 0");
        }

        await AssertIdenticalAsync(cluster, "update and delete with the whole old row", types, written, count => 2 * ((count + 1) / 2));
        foreach (var node in cluster.Cluster.Nodes) Assert.Equal(0, node.Node.Status.Conflicts);
    }

    private static async Task UpdateAsync(TypeCluster cluster, List<(PostgresType Type, int Count)> written)
    {
        foreach (var (type, count) in written)
        {
            var table = TypeSchema.TableOf(type);
            await cluster.ExecuteAsync(0, $"UPDATE {table} t SET v = (SELECT o.v FROM {table} o WHERE o.id = t.id % {count} + 1) WHERE id < {Second}");
            await cluster.ExecuteAsync(1, $"UPDATE {table} t SET v = (SELECT o.v FROM {table} o WHERE o.id = (t.id - {Second}) % {count} + 1 + {Second}) WHERE id > {Second}");
        }
    }

    /// <summary>The types that both servers have; between versions only the row types of catalogs and of their views may differ.</summary>
    private static async Task<Dictionary<string, PostgresType>> CommonTypesAsync(TypeCluster cluster, bool isOneVersion)
    {
        var left = await PostgresType.ReadAsync(cluster, 0, TypeSchema.Schemas);
        var right = await PostgresType.ReadAsync(cluster, 1, TypeSchema.Schemas);
        var differing = left.Keys.Union(right.Keys).Where(n => !left.TryGetValue(n, out var a) || !right.TryGetValue(n, out var b) || a.Shape != b.Shape).ToHashSet();
        foreach (var name in differing.ToList())
        {
            var type = left.GetValueOrDefault(name) ?? right[name];
            var owner = type.IsArray ? left.GetValueOrDefault(type.Inner) ?? right[type.Inner] : type;
            Assert.True(!isOneVersion && (owner.Kind == 'c' || owner.Schema == "ext"), $"{name} differs between the servers.");
            differing.UnionWith(left.Values.Where(t => t.Inner == name).Select(t => t.Name));
        }

        var common = left.Where(t => !differing.Contains(t.Key)).ToDictionary();
        foreach (var type in (string[])["citext", "hstore", "ltree"]) Assert.Contains($"ext.\"{type}\"", common.Keys);
        if (await HasPostGisAsync(cluster, 0) && await HasPostGisAsync(cluster, 1)) Assert.Contains("ext.\"geometry\"", common.Keys);
        return common;
    }

    private static async Task<bool> HasPostGisAsync(TypeCluster cluster, int node) =>
        (await cluster.ReadAsync(node, "SELECT FROM pg_available_extensions WHERE name = 'postgis'")).Count > 0;

    /// <summary>No table is missing but those of types that hold a pseudo-type.</summary>
    private static async Task AssertTablesAsync(TypeCluster cluster, List<PostgresType> columns, Dictionary<string, PostgresType> types)
    {
        var tables = await cluster.ReadAsync(0, "SELECT relname FROM pg_class WHERE relnamespace = 'types'::regnamespace AND relkind = 'r'");
        Assert.Equal(columns.Select(t => $"{t.Schema}.{t.BareName}").Order(), tables.Where(t => types.Values.Any(x => $"{x.Schema}.{x.BareName}" == t)).Order());
        Assert.True(columns.Count > 250, $"Only {columns.Count} types were found.");
    }

    private static async Task AssertRefusesAsync(TypeCluster cluster, PostgresType type)
    {
        foreach (var text in (string[])["", "1", "x", "(1,2)", "{}", "0x00", "\\x00"])
        {
            Assert.False(await AcceptsAsync(cluster, $"SELECT '{text}'::{type.Name}"), $"{type.Name} takes the value '{text}': give it samples.");
        }
    }

    private static async Task<bool> AcceptsAsync(TypeCluster cluster, string sql)
    {
        try
        {
            for (var node = 0; node < 2; node++) await cluster.ExecuteAsync(node, sql);
            return true;
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.FeatureNotSupported || e.MessageText.Contains("ot implemented", StringComparison.Ordinal))
        {
            return false;
        }
    }

    private static async Task AssertIdenticalAsync(
        TypeCluster cluster, string after, Dictionary<string, PostgresType> types, List<(PostgresType Type, int Count)> written, Func<int, int> rows)
    {
        await cluster.Cluster.QuietAsync(TimeSpan.FromSeconds(90));
        var differences = new List<string>();
        foreach (var chunk in written.Chunk(50))
        {
            var sql = string.Join("\nUNION ALL\n", chunk.Select(w => $"SELECT '{w.Type.Name}', id, CASE WHEN v IS DISTINCT FROM NULL THEN format('%s', v) END, {Bytes(w.Type, types)} FROM {TypeSchema.TableOf(w.Type)}"));
            var left = await cluster.ReadAsync(0, $"SELECT * FROM ({sql}) x ORDER BY 1, 2");
            var right = await cluster.ReadAsync(1, $"SELECT * FROM ({sql}) x ORDER BY 1, 2");
            differences.AddRange(left.Except(right).Select(r => $"only on a: {r}"));
            differences.AddRange(right.Except(left).Select(r => $"only on b: {r}"));
            foreach (var (type, count) in chunk)
            {
                var found = left.Count(r => r.StartsWith(type.Name + " | ", StringComparison.Ordinal));
                if (found != rows(count)) differences.Add($"{type.Name} has {found} rows instead of {rows(count)}");
            }
        }

        Assert.True(differences.Count == 0, $"After {after}, {differences.Count} differences:\n{string.Join("\n", differences.Take(40))}\n{cluster.Cluster.Describe()}");
    }

    private static string Bytes(PostgresType type, Dictionary<string, PostgresType> types) =>
        PostgresType.HasBytes(type.Name, types) ? $"encode({type.Send}, 'hex')" : "NULL";
}
