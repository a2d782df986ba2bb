using System.Text;

namespace ActiveActive.Testing;

/// <summary>The settings of a test server.</summary>
internal static class ServerConfiguration
{
    public const string Superuser = "postgres";
    public const string SuperuserPassword = "postgres";

    public static IReadOnlyDictionary<string, string> Settings(PostgresServerOptions options)
    {
        Dictionary<string, string> settings = new(StringComparer.OrdinalIgnoreCase)
        {
            ["wal_level"] = "logical",
            ["track_commit_timestamp"] = "on",
            ["max_replication_slots"] = "20",
            ["max_wal_senders"] = "20",
            ["max_connections"] = "100",
            ["shared_buffers"] = "64MB",
            ["fsync"] = options.Fsync ? "on" : "off",
            ["password_encryption"] = "scram-sha-256",
            ["log_line_prefix"] = "%m [%p] %a ",
            ["log_timezone"] = "UTC",
            ["timezone"] = "UTC",
        };
        foreach ((string name, string value) in options.Settings)
        {
            if (name.Equals("port", StringComparison.OrdinalIgnoreCase))
                throw new ArgumentException("The setting 'port' cannot be given: the server picks a free port.", nameof(options));
            settings[name] = value;
        }

        return settings;
    }

    /// <summary>Lines for the end of postgresql.conf, where the last one of a name wins.</summary>
    public static string FileText(PostgresServerOptions options)
    {
        Dictionary<string, string> settings = new(Settings(options), StringComparer.OrdinalIgnoreCase);
        settings.TryAdd("listen_addresses", "127.0.0.1");
        if (!OperatingSystem.IsWindows())
        {
            settings.TryAdd("unix_socket_directories", "");

            // Segments are files of the data directory, so a killed server leaves none behind in /dev/shm.
            settings.TryAdd("dynamic_shared_memory_type", "mmap");
        }

        StringBuilder text = new("\n# ActiveActive.Testing\n");
        foreach ((string name, string value) in settings)
        {
            string quoted = value.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", "''", StringComparison.Ordinal);
            text.Append(name).Append(" = '").Append(quoted).Append("'\n");
        }

        return text.ToString();
    }
}
