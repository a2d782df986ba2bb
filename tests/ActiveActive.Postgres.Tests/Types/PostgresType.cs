using System.Globalization;

namespace ActiveActive.Postgres.Tests.Types;

/// <summary>A type as <c>pg_type</c> describes it; the server is asked, so that a type of a new version is not forgotten.</summary>
internal sealed record PostgresType
{
    /// <summary>Quoted, with its schema.</summary>
    public required string Name { get; init; }

    /// <summary><c>typname</c>.</summary>
    public required string BareName { get; init; }

    /// <summary><c>typtype</c>: b base, c composite, d domain, e enum, r range, m multirange.</summary>
    public required char Kind { get; init; }

    public required string Schema { get; init; }

    /// <summary>Of a true array, its element; of a domain, its base; of a range, its subtype; of a multirange, its range; else empty.</summary>
    public required string Inner { get; init; }

    public required bool IsArray { get; init; }

    /// <summary>The attributes' types, of a composite type.</summary>
    public required IReadOnlyList<string> Attributes { get; init; }

    public required IReadOnlyList<string> Labels { get; init; }

    /// <summary>The call of the binary output function for a column <c>v</c>; empty where there is none.</summary>
    public required string Send { get; init; }

    /// <summary>Its binary form holds OIDs that differ between databases: an array of a user's type, or a composite.</summary>
    public required bool SendsOids { get; init; }

    /// <summary>What must be the same on two servers for a column of it to be the same.</summary>
    public string Shape => $"{Kind} {Inner} ({string.Join(", ", Attributes)}) {string.Join(", ", Labels)}";

    public static async Task<Dictionary<string, PostgresType>> ReadAsync(TypeCluster cluster, int node, params string[] schemas)
    {
        var rows = await cluster.ReadAsync(node, $""""
            WITH named AS (
                SELECT t.*, n.nspname || '."' || replace(t.typname, '"', '""') || '"' AS full_name, n.nspname
                FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace)
            SELECT json_build_array(t.full_name, t.typname, t.typtype, t.nspname,
                coalesce(e.full_name, b.full_name, s.full_name, m.full_name, ''), e.oid IS NOT NULL,
                ARRAY(SELECT coalesce(x.full_name, '') FROM pg_attribute a LEFT JOIN named x ON x.oid = a.atttypid
                      WHERE a.attrelid = t.typrelid AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
                ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder),
                CASE WHEN t.typsend <> 0 THEN t.typsend::regproc || (
                    SELECT CASE x.typtype WHEN 'p' THEN '(v)' ELSE '(v::' || x.full_name || ')' END
                    FROM pg_proc f JOIN named x ON x.oid = f.proargtypes[0] WHERE f.oid = t.typsend) ELSE '' END,
                t.typtype = 'c' OR coalesce(e.oid >= 10000, false))
            FROM named t
            LEFT JOIN named e ON e.oid = t.typelem AND e.typarray = t.oid
            LEFT JOIN named b ON b.oid = t.typbasetype
            LEFT JOIN pg_range r ON r.rngtypid = t.oid
            LEFT JOIN named s ON s.oid = r.rngsubtype
            LEFT JOIN pg_range mr ON mr.rngmultitypid = t.oid
            LEFT JOIN named m ON m.oid = mr.rngtypid
            WHERE t.typtype <> 'p' AND t.nspname IN ({string.Join(", ", schemas.Select(s => $"'{s}'"))})
              AND NOT EXISTS (SELECT FROM pg_type x WHERE x.oid = t.typelem AND x.typarray = t.oid AND x.typtype = 'p')
            ORDER BY t.oid
            """");
        return rows.Select(Parse).ToDictionary(t => t.Name);
    }

    private static PostgresType Parse(string json)
    {
        var fields = System.Text.Json.JsonDocument.Parse(json).RootElement;
        string Text(int i) => fields[i].GetString() ?? "";
        string[] Texts(int i) => [.. fields[i].EnumerateArray().Select(x => x.GetString() ?? "")];
        return new PostgresType
        {
            Name = Text(0),
            BareName = Text(1),
            Kind = Text(2)[0],
            Schema = Text(3),
            Inner = Text(4),
            IsArray = fields[5].GetBoolean(),
            Attributes = Texts(6),
            Labels = Texts(7),
            Send = Text(8),
            SendsOids = fields[9].GetBoolean(),
        };
    }

    /// <summary>Whether a pseudo-type is among its parts (a composite's attribute of <c>pg_statistic</c>): no column can have it.</summary>
    public static bool HoldsPseudoType(string name, IReadOnlyDictionary<string, PostgresType> types) => !types.TryGetValue(name, out var type)
        || (type.Inner.Length > 0 && HoldsPseudoType(type.Inner, types)) || type.Attributes.Any(a => HoldsPseudoType(a, types));

    /// <summary>Whether it, and what it is built of, has a send function whose bytes do not depend on the database.</summary>
    public static bool HasBytes(string name, IReadOnlyDictionary<string, PostgresType> types) =>
        // What a name like regclass resolves to has another OID in each database; hstore_send counts a text's bytes in the database's encoding.
        types[name] is { Send.Length: > 0, SendsOids: false } type && type.BareName != "hstore" && !type.BareName.StartsWith("reg", StringComparison.Ordinal) && (type.Inner.Length == 0 || HasBytes(type.Inner, types));
}
