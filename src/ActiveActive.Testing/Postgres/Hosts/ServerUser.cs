namespace ActiveActive.Testing;

/// <summary>As whom servers run: PostgreSQL refuses root, so root's servers run as <c>postgres</c>, else <c>nobody</c>.</summary>
internal sealed class ServerUser
{
    private ServerUser(string? name) => Name = name;

    public static ServerUser Current { get; } = new(Environment.IsPrivilegedProcess && !OperatingSystem.IsWindows() ? FindUser() : null);

    /// <summary>The other user, or null when servers run as the caller.</summary>
    public string? Name { get; }

    /// <summary>Where server folders go; the system's temporary folder unless only root can reach it.</summary>
    public string TemporaryFolder => CanReach(Path.GetTempPath()) ? Path.GetTempPath() : "/tmp";

    /// <summary>Whether the server's user can look into this folder.</summary>
    public bool CanReach(string folder)
    {
        if (Name is null || OperatingSystem.IsWindows())
            return true;
        const UnixFileMode needed = UnixFileMode.OtherExecute;
        for (DirectoryInfo? at = new(Path.GetFullPath(folder)); at is not null; at = at.Parent)
        {
            if (!at.Exists || (at.UnixFileMode & needed) == 0)
                return false;
        }

        return true;
    }

    private static string FindUser()
    {
        const string users = "/etc/passwd";
        bool hasPostgres = File.Exists(users) && File.ReadLines(users).Any(line => line.StartsWith("postgres:", StringComparison.Ordinal));
        return hasPostgres ? "postgres" : "nobody";
    }
}
