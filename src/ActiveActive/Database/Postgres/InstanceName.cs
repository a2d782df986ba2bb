using System.Globalization;
using System.Security.Cryptography;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Tells the instances of one application apart in the server: the names that their sessions show in <c>pg_stat_activity</c>, by which a new leader finds what an
/// earlier one left.
/// </summary>
/// <param name="Id">Eight hexadecimal digits, at random.</param>
/// <param name="Place">For people: the machine's name and the process id.</param>
internal sealed record InstanceName(string Id, string Place)
{
    /// <summary>Of the sessions that apply, and that read rows for peers. Only a leader has them.</summary>
    public const string ApplyApplication = "active_active apply";

    /// <summary>Of the sessions that read the log. Only a leader has them. Synchronous replication may name it.</summary>
    public const string CaptureApplication = "active_active capture";

    /// <summary>The beginning of <see cref="LeaseApplication"/>, before the id.</summary>
    public const string LeasePrefix = "active_active instance ";

    private const int MostApplicationCharacters = 63;

    /// <summary>Of all other sessions; a standby has them, too, where the application reads conflicts there.</summary>
    public string SqlApplication => $"active_active {Id}";

    /// <summary>Of the session that leads or stands by.</summary>
    public string LeaseApplication
    {
        get
        {
            // PostgreSQL keeps printable ASCII only, and cuts the rest.
            var name = string.Concat($"{LeasePrefix}{Id} {Place}".Select(c => c is >= ' ' and <= '~' ? c : '?'));
            return name[..Math.Min(name.Length, MostApplicationCharacters)];
        }
    }

    public static InstanceName New() => new(
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4)), string.Create(CultureInfo.InvariantCulture, $"{Environment.MachineName}:{Environment.ProcessId}"));

    /// <summary>The id in a <see cref="LeaseApplication"/>; empty where it is none.</summary>
    public static string IdIn(string application) =>
        application.StartsWith(LeasePrefix, StringComparison.Ordinal) && application.Length >= LeasePrefix.Length + 8 ? application.Substring(LeasePrefix.Length, 8) : "";

    /// <summary>The place in a <see cref="LeaseApplication"/>; the whole text where it is none.</summary>
    public static string PlaceIn(string application) =>
        application.StartsWith(LeasePrefix, StringComparison.Ordinal) && application.Length > LeasePrefix.Length + 9 ? application[(LeasePrefix.Length + 9)..] : application;
}
