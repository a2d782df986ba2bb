namespace ActiveActive.Postgres.Tests.Types;

/// <summary>SQL expressions of values of every type: base types from <see cref="BaseSamples"/>, all others built from their parts.</summary>
internal sealed class SampleExpressions(IReadOnlyDictionary<string, PostgresType> types, int leastVersion)
{
    private readonly Dictionary<string, IReadOnlyList<string>> _known = [];

    /// <summary>Non-null values; empty where no client can write one. Throws where nobody has thought of the type yet.</summary>
    public IReadOnlyList<string> Of(string name)
    {
        if (_known.TryGetValue(name, out var known)) return known;
        var type = types[name];
        var samples = Distinct(type);
        _known[name] = samples;
        return samples;
    }

    private IReadOnlyList<string> Distinct(PostgresType type)
    {
        if (type.Kind == 'd' && BaseSamples.Of(type.BareName, leastVersion) is { } own) return Literals(type, own);
        return type switch
        {
            { IsArray: true } => Arrays(type),
            { Kind: 'd' } => [.. Of(type.Inner).Select(s => $"({s})::{type.Name}")],
            { Kind: 'e' } => Literals(type, type.Labels),
            { Kind: 'c' } => Composites(type),
            { Kind: 'r' } => Ranges(type),
            { Kind: 'm' } => Multiranges(type),
            _ => Literals(type, BaseSamples.Of(type.BareName, leastVersion)
                ?? throw new InvalidOperationException($"PostgreSQL has the type {type.Name}, of which no value is known: give some in {nameof(BaseSamples)}.")),
        };
    }

    private static string[] Literals(PostgresType type, IEnumerable<string> texts) =>
        [.. texts.Select(t => $"'{t.Replace("'", "''", StringComparison.Ordinal)}'::{type.Name}")];

    private List<string> Arrays(PostgresType type)
    {
        var elements = Of(type.Inner);
        var (first, second) = (At(type.Inner, 0), At(type.Inner, 1));
        return
        [
            $"ARRAY[{first}, {second}]::{type.Name}",
            $"ARRAY[NULL::{type.Inner}, {second}, NULL]::{type.Name}",
            $"'{{}}'::{type.Name}",
            $"ARRAY[[[{first}, NULL], [{second}, {first}]]]::{type.Name}",
            $"('[-3:-2]=' || ARRAY[{first}, {second}]::{type.Name}::text)::{type.Name}",
            .. elements.Count > 2 ? [$"ARRAY[{string.Join(", ", elements)}]::{type.Name}"] : Array.Empty<string>(),
        ];
    }

    private List<string> Composites(PostgresType type) =>
    [
        $"ROW({string.Join(", ", type.Attributes.Select(a => At(a, 0)))})::{type.Name}",
        $"ROW({string.Join(", ", type.Attributes.Select((a, i) => At(a, 1 + i)))})::{type.Name}",
        .. type.Attributes.Count > 1 ? [$"ROW({string.Join(", ", type.Attributes.Select((a, i) => i % 2 == 0 ? $"NULL::{a}" : At(a, 2 + i)))})::{type.Name}"] : Array.Empty<string>(),
    ];

    private List<string> Ranges(PostgresType type)
    {
        var (low, high) = ($"least({At(type.Inner, 0)}, {At(type.Inner, 1)})", $"greatest({At(type.Inner, 0)}, {At(type.Inner, 1)})");
        return
        [
            $"{type.Name}({low}, {high})",
            $"{type.Name}(NULL, {low}, '(]')",
            $"{type.Name}({high}, NULL)",
            $"{type.Name}({low}, {high}, '(]')",
            $"{type.Name}({low}, {low}, '[]')",
            $"'empty'::{type.Name}",
            $"'(,)'::{type.Name}",
            .. Of(type.Inner).Select(s => $"{type.Name}({s}, NULL)"),
        ];
    }

    private List<string> Multiranges(PostgresType type)
    {
        var ranges = Of(type.Inner);
        return [$"{type.Name}({ranges[0]})", $"{type.Name}({ranges[1]}, {ranges[2]})", $"'{{}}'::{type.Name}", $"'{{(,)}}'::{type.Name}", $"{type.Name}({ranges[5]})"];
    }

    private string At(string type, int index) => Of(type) is { Count: > 0 } samples ? samples[index % samples.Count] : $"NULL::{type}";
}
