using System.Globalization;

namespace ActiveActive.Testing;

/// <summary>What differs between the processes of two nodes, as far as one process can play it: culture and local time zone.</summary>
internal static class Surroundings
{
    // The time zone is the whole process's.
    private static readonly Lock s_timeZone = new();

    /// <summary>Each of them, as a phrase for a message, and how to run something in it.</summary>
    public static IEnumerable<(string Where, Action<Action> Within)> All(bool withTimeZones)
    {
        foreach (var culture in Cultures())
        {
            var example = culture.Name.Length > 0 ? culture.Name : $"one that writes 1.5 as {1.5.ToString(culture)}";
            yield return ($"in a culture such as {example}", run => InCulture(culture, run));
        }

        if (!withTimeZones || OperatingSystem.IsWindows()) yield break;
        foreach (var zone in (string[])["Pacific/Kiritimati", "America/St_Johns"]) yield return ($"in time zone {zone}", run => InTimeZone(zone, run));
    }

    private static void InCulture(CultureInfo culture, Action run)
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = culture;
        try
        {
            run();
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static void InTimeZone(string zone, Action run)
    {
        lock (s_timeZone)
        {
            var before = Environment.GetEnvironmentVariable("TZ");
            Environment.SetEnvironmentVariable("TZ", zone);
            TimeZoneInfo.ClearCachedData();
            try
            {
                run();
            }
            finally
            {
                Environment.SetEnvironmentVariable("TZ", before);
                TimeZoneInfo.ClearCachedData();
            }
        }
    }

    private static IEnumerable<CultureInfo> Cultures()
    {
        // Without ICU there are no cultures by name, but formats differ all the same.
        var foreign = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        foreign.NumberFormat.NumberDecimalSeparator = ",";
        foreign.NumberFormat.NumberGroupSeparator = ".";
        foreign.NumberFormat.NegativeSign = "\u2212";
        foreign.DateTimeFormat.ShortDatePattern = "dd.MM.yyyy";
        foreign.DateTimeFormat.LongTimePattern = "H.mm.ss";
        foreign.DateTimeFormat.FirstDayOfWeek = DayOfWeek.Monday;
        yield return foreign;
        foreach (var name in (string[])["tr-TR", "sv-SE", "ar-SA"])
        {
            CultureInfo? culture = null;
            try
            {
                culture = CultureInfo.GetCultureInfo(name);
            }
            catch (CultureNotFoundException)
            {
            }

            if (culture is not null) yield return culture;
        }
    }
}
