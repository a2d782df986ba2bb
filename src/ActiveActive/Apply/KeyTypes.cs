namespace ActiveActive.Apply;

/// <summary>Whether a key's values have the same texts on two nodes, by the names of its column's types there (<c>format_type</c>).</summary>
internal static class KeyTypes
{
    public static bool WriteAlike(string left, string right) => Form(left) == Form(right);

    private static string Form(string type)
    {
        // A type's schema is named where the session's search_path does not have it.
        var name = type[(type.LastIndexOf('.') + 1)..].Trim('"');
        if (name is "smallint" or "integer" or "bigint") return "integer";
        if (name == "text" || name.StartsWith("character varying", StringComparison.Ordinal)) return "text";
        // A time's precision changes its value and not its form; a number's scale and a character's length change the form.
        return name.StartsWith("time", StringComparison.Ordinal) && name.IndexOf('(') is > 0 and var open ? name.Remove(open, name.IndexOf(')') + 1 - open) : name;
    }
}
