using System.Text.RegularExpressions;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Where in the rows a COPY failed: line and column, and not the value, which stands behind them in what the server says.</summary>
internal static partial class CopyPlace
{
    /// <summary>" (line 3, column name)", or nothing where the server does not say it (in English).</summary>
    public static string Of(PostgresException e) => e.Where is { } where && Place().Match(where) is { Success: true } place
        ? $" (line {place.Groups[1].Value}{(place.Groups[2].Success ? $", column {place.Groups[2].Value}" : "")})"
        : "";

    [GeneratedRegex("^COPY [^\n]*?, line ([0-9]+)(?:, column ([^:\n]+))?", RegexOptions.CultureInvariant)]
    private static partial Regex Place();
}
