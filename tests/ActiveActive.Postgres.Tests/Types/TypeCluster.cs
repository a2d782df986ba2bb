using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Types;

/// <summary>
/// Two nodes that write the same value differently: other DateStyle, IntervalStyle, TimeZone, bytea_output, digits, locale and search
/// path, and other encodings. Values are compared through sessions with one set of settings.
/// </summary>
internal sealed class TypeCluster : IAsyncDisposable
{
    private const string Fixed =
        "-c DateStyle=ISO,YMD -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 -c bytea_output=hex -c lc_monetary=C -c xmloption=content -c array_nulls=on -c search_path=";

    private static readonly string[] s_encodings = ["ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"];

    private static readonly string[][] s_settings =
    [
        ["DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "bytea_output = 'escape'", "extra_float_digits = -5", "lc_monetary = 'C'", "search_path = 'public'"],
        ["DateStyle = 'German'", "IntervalStyle = 'iso_8601'", "TimeZone = 'America/St_Johns'", "bytea_output = 'hex'", "extra_float_digits = 0", "lc_monetary = 'POSIX'", "search_path = public, pg_catalog, information_schema", "xmloption = 'document'", "array_nulls = off"],
    ];

    private readonly NpgsqlDataSource[] _sessions;

    private TypeCluster(TestCluster cluster)
    {
        Cluster = cluster;
        _sessions = [.. cluster.Nodes.Select(n => NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(n.ConnectionString) { Options = Fixed, Timezone = "UTC", ClientEncoding = "UTF8" }.ConnectionString))];
    }

    public TestCluster Cluster { get; }

    public ClusterNode this[int index] => Cluster[index];

    public static async Task<TypeCluster> StartAsync(IReadOnlyList<PostgresServer> servers, string schema, string superuserSql = "") => new(await TestCluster.StartAsync(
        servers, schema, node => node.Replicate("public.*").Replicate("types.*"), s_encodings, beforeSchema: async node =>
        {
            foreach (var setting in s_settings[node.Name == "a" ? 0 : 1]) await node.Server.ExecuteAsync($"ALTER DATABASE {node.Database} SET {setting}");
            if (superuserSql.Length > 0) await node.Server.ExecuteAsync(superuserSql, node.Database);
        }));

    /// <summary>Runs a statement on a node under the fixed settings.</summary>
    public async Task ExecuteAsync(int node, string sql)
    {
        await using var command = _sessions[node].CreateCommand(sql);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>The rows of a query on a node, under the fixed settings, each as its columns' texts.</summary>
    public async Task<List<string>> ReadAsync(int node, string sql)
    {
        await using var connection = await _sessions[node].OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(sql, connection) { AllResultTypesAreUnknown = true };
        await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        var rows = new List<string>();
        while (await reader.ReadAsync(TestContext.Current.CancellationToken))
        {
            rows.Add(string.Join(" | ", Enumerable.Range(0, reader.FieldCount).Select(i => reader.IsDBNull(i) ? "∅" : reader.GetString(i))));
        }

        return rows;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var session in _sessions) await session.DisposeAsync();
        await Cluster.DisposeAsync();
    }
}
