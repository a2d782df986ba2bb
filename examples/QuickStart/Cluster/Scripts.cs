namespace QuickStart.Cluster;

/// <summary>The SQL files that the program carries.</summary>
internal static class Scripts
{
    /// <summary>The bank's tables.</summary>
    public static string Schema => Read("Schema.sql");

    /// <summary>docs/setup-role.sql with its variables filled in, which psql would do.</summary>
    public static string SetUpRole(string role, string database, string owner)
    {
        var sql = Read("setup-role.sql");
        foreach (var (name, value) in new[] { ("role", role), ("database", database), ("owner", owner) })
        {
            sql = sql.Replace($":\"{name}\"", $"\"{value}\"", StringComparison.Ordinal).Replace($":'{name}'", $"'{value}'", StringComparison.Ordinal);
        }

        return sql;
    }

    private static string Read(string name)
    {
        using var stream = typeof(Scripts).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
