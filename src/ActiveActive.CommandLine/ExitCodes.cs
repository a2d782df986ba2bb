namespace ActiveActive.CommandLine;

/// <summary>What the command returns to the shell; see docs/TOOL.md.</summary>
internal static class ExitCodes
{
    public const int Done = 0;

    /// <summary>The node did not do what it was asked to, and says why.</summary>
    public const int Failed = 1;

    /// <summary>The command line or the options can't be used.</summary>
    public const int Usage = 2;

    /// <summary>No instance leads the node, or the database is none's.</summary>
    public const int NotLed = 3;

    /// <summary>The database can't be reached.</summary>
    public const int Unreachable = 4;

    /// <summary>It was looked at, and not all is well.</summary>
    public const int Problems = 5;

    /// <summary>Nobody took the command up in time.</summary>
    public const int TimedOut = 6;
}
