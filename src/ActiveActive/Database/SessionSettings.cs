namespace ActiveActive.Database;

/// <summary>
/// The session settings under which every value is written to and read from text, on every connection of the library, so that
/// equal values have equal texts whatever DateStyle, time zone or locale a server, database or role is set to.
/// </summary>
internal static class SessionSettings
{
    public static readonly IReadOnlyList<(string Name, string Value)> All =
    [
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("lc_monetary", "C"),
        ("xmloption", "content"),
        ("standard_conforming_strings", "on"),
        ("array_nulls", "on"),
        ("transform_null_equals", "off"),
    ];

    /// <summary>The form of the <c>Options</c> connection-string keyword: <c>-c name=value</c>, blanks escaped.</summary>
    public static string ToOptions(IEnumerable<(string Name, string Value)> more) => string.Join(
        ' ', All.Concat(more).Select(s => $"-c {s.Name}={s.Value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(" ", "\\ ", StringComparison.Ordinal)}"));
}
