namespace ActiveActive.Postgres.Tests.Types;

/// <summary>The schema of the type tests: types of every kind, and a table for each type there is.</summary>
internal static class TypeSchema
{
    /// <summary>Where the types come from.</summary>
    public static readonly string[] Schemas = ["pg_catalog", "information_schema", "ext", "kinds"];

    /// <summary>For a superuser. Extensions that the server lacks (PostGIS is a package of its own) bring no types.</summary>
    public const string Extensions = """
        CREATE SCHEMA ext;
        GRANT USAGE ON SCHEMA ext TO PUBLIC;
        DO $$
        DECLARE extension name;
        BEGIN
            FOR extension IN SELECT name FROM pg_available_extensions
                WHERE name IN ('citext', 'hstore', 'ltree', 'cube', 'seg', 'isn', 'intarray', 'pg_trgm', 'btree_gist', 'postgis')
            LOOP
                EXECUTE format('CREATE EXTENSION %I SCHEMA ext', extension);
            END LOOP;
        END $$;
        """;

    private const string Kinds = """"
        CREATE SCHEMA types;
        CREATE TABLE types."Odd ""name""" (id int PRIMARY KEY);
        CREATE SCHEMA kinds;
        CREATE TYPE kinds.mood AS ENUM ('sad', 'it''s ok', '{"a",(b)}', 'ünï', '');
        CREATE DOMAIN kinds.positive AS int CHECK (VALUE > 0);
        CREATE DOMAIN kinds.small_positive AS kinds.positive CHECK (VALUE < 1000);
        CREATE DOMAIN kinds.short AS varchar(5);
        CREATE DOMAIN kinds.numbers AS numeric[];
        CREATE DOMAIN kinds.padded AS char(8);
        CREATE TYPE kinds."Inner ""Q""" AS (a int, "B b" text, moods kinds.mood[]);
        CREATE TYPE kinds.outer_type AS (one kinds."Inner ""Q""", many kinds."Inner ""Q"""[], d kinds.small_positive, t timestamptz, b bytea, f float8);
        CREATE DOMAIN kinds.known AS kinds."Inner ""Q""";
        CREATE TYPE kinds.mood_range AS RANGE (subtype = kinds.mood);
        CREATE TYPE kinds.text_range AS RANGE (subtype = text, collation = "C");
        CREATE TYPE kinds.inner_range AS RANGE (subtype = kinds."Inner ""Q""");
        CREATE TYPE kinds.float_range AS RANGE (subtype = float8);
        """";

    /// <summary>One table for each type that a column can have, named by its schema and name; the value may be the key.</summary>
    public static string Tables(string columns, string condition = "true") => $"""
        {Kinds}
        DO $$
        DECLARE item record;
        BEGIN
            FOR item IN SELECT n.nspname || '.' || t.typname AS name, format('%I.%I', n.nspname, t.typname) AS type
                FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
                WHERE t.typtype <> 'p' AND n.nspname IN ({string.Join(", ", Schemas.Select(s => $"'{s}'"))}) AND {condition}
            LOOP
                BEGIN
                    EXECUTE format('CREATE TABLE types.%I ({columns})', item.name, item.type);
                EXCEPTION WHEN invalid_table_definition OR undefined_object THEN
                    -- 42P16: a part is a pseudo-type. 42704: a key needs an order.
                END;
            END LOOP;
        END $$;
        """;

    /// <summary>The quoted table of a type.</summary>
    public static string TableOf(PostgresType type) => $"types.\"{type.Schema}.{type.BareName.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
