namespace ActiveActive.Postgres.Tests.Types;

/// <summary>
/// Values of base types that are hard to carry, as the texts of literals. The first two are moderate: arrays, ranges and composites are
/// built from them. Only characters that LATIN1 has, too. A type that is not listed fails the test by its name.
/// </summary>
internal static class BaseSamples
{
    /// <summary>Types whose input function refuses every value: a column of them can hold NULL and what the server itself puts there.</summary>
    public static readonly IReadOnlySet<string> Refusing = new HashSet<string>
    {
        "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "gtsvector",
        "ghstore", "gtrgm", "ltree_gist", "intbig_gkey", "gbtreekey2", "gbtreekey4", "gbtreekey8", "gbtreekey16", "gbtreekey32", "gbtreekey_var",
    };

    private static readonly string s_digits = string.Concat(Enumerable.Repeat("1234567890", 100));
    private static readonly string s_allBytes = "\\x" + Convert.ToHexString([.. Enumerable.Range(0, 256).Select(i => (byte)i)]);
    private static readonly string s_long = string.Concat(Enumerable.Range(0, 3000).Select(i => (char)('!' + (i * 7 % 90))));

    private static readonly Dictionary<string, string[]> s_values = new()
    {
        ["bool"] = ["true", "false"],
        ["bytea"] = [@"\x00ff27225c", "", s_allBytes, @"\x5c3030305c"],
        ["char"] = ["x", "\"", "", "\\", "'"],
        ["name"] = ["a name", "Ünï \"quoted\" 'x' \\", "", new string('n', 63)],
        ["int8"] = ["1", "42", "9223372036854775807", "-9223372036854775808"],
        ["int2"] = ["1", "42", "32767", "-32768"],
        ["int4"] = ["1", "42", "2147483647", "-2147483648"],
        ["int2vector"] = ["1 2 3", "-32768 32767", ""],
        ["oidvector"] = ["1 2 3", "4294967295 0", ""],
        ["text"] = ["plain", "ünï ß \"q\" 'x' \\ {,} (,) [,] %$1 :a @b", "", " blanks ", "NULL", "\t\r\n\u0001\u007f", "\\N", s_long],
        ["varchar"] = ["plain", "ünï ÿ", "", " blanks  ", "NULL"],
        ["bpchar"] = ["plain", "blanks   ", "", "   "],
        ["oid"] = ["0", "42", "4294967295"],
        ["xid"] = ["1", "42", "4294967295"],
        ["xid8"] = ["1", "42", "18446744073709551615"],
        ["cid"] = ["1", "42", "4294967295"],
        ["tid"] = ["(1,2)", "(0,1)", "(4294967295,65535)"],
        ["regproc"] = ["pg_catalog.boolin", "0", "now", "4000000000"],
        ["regprocedure"] = ["pg_catalog.sum(int4)", "0", "abs(double precision)"],
        ["regoper"] = ["pg_catalog.|/", "0"],
        ["regoperator"] = ["pg_catalog.+(integer,integer)", "0", "-(NONE,bigint)"],
        ["regclass"] = ["pg_catalog.pg_class", "0", "types.\"Odd \"\"name\"\"\"", "information_schema.tables"],
        ["regcollation"] = ["\"C\"", "pg_catalog.\"POSIX\"", "0"],
        ["regtype"] = ["double precision", "timestamp with time zone[]", "0", "\"char\""],
        ["regrole"] = ["pg_monitor", "0", "postgres"],
        ["regnamespace"] = ["pg_catalog", "types", "0"],
        ["regconfig"] = ["simple", "pg_catalog.german"],
        ["regdictionary"] = ["simple", "pg_catalog.german_stem"],
        ["json"] = ["{\"a\": 1}", " {\"b\" :\t[1 , 2.50,1e400, null], \"b\": \"\\u20ac \\ud83d\\ude00 \\\\ \\\" \\n ü\",\n\"\": {}} ", "null", "\"\"", "-0.0", "[]"],
        ["jsonb"] = ["{\"a\": 1}", " {\"b\" :\t[1 , 2.50,1.000, null, 1e100], \"b\": \"\\\\ \\\" \\n ü\", \"\": {}} ", "null", "\"\"", "-0.0", "[]", "true"],
        ["jsonpath"] = ["$.a", "strict $.\"b c\"[*] ? (@.x > 1.5 && @ like_regex \"^ü\" flag \"i\").size()", "lax $[last - 1 to last]"],
        ["xml"] = ["<a/>", "text &amp; <b c=\"d'\">ü</b>\n <!-- x --><![CDATA[<>]]>", "", "<?xml version=\"1.0\"?><a><?pi x?></a>", "<!DOCTYPE a><a/>"],
        ["point"] = ["(1,2)", "(-0,1e-300)", "(1.7976931348623157e308,-Infinity)", "(NaN,5e-324)"],
        ["lseg"] = ["[(1,2),(3,4)]", "[(-0,0.1),(1e308,-1e-308)]"],
        ["path"] = ["[(1,2),(3,4)]", "((0.1,0.2),(0.3,-0),(1e300,1e-300))"],
        ["box"] = ["(3,4),(1,2)", "(0.1,0.30000000000000004),(-1e300,-0)"],
        ["polygon"] = ["((1,2),(3,4))", "((0,0),(0.1,0),(0,0.30000000000000004))"],
        ["line"] = ["{1,2,3}", "{0.1,-1,1e300}"],
        ["circle"] = ["<(1,2),3>", "<(0.1,-1e300),0>", "<(0,0),Infinity>"],
        ["float4"] = ["1", "2.5", "0.1", "-0", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"],
        ["float8"] = ["1", "2.5", "0.30000000000000004", "-0", "1.7976931348623157e308", "5e-324", "2.2250738585072011e-308", "NaN", "Infinity", "-Infinity"],
        ["numeric"] = ["1", "2.5", "1.000", "0", "-0.00", s_digits + "." + s_digits, "-1e-1000", "1e5000", "NaN", "Infinity", "-Infinity"],
        ["money"] = ["1.50", "42", "-1234567.89", "92233720368547758.07", "-92233720368547758.08"],
        ["date"] = ["2024-02-29", "2024-12-31", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity", "0001-12-31 BC"],
        ["time"] = ["01:02:03", "23:59:59.999999", "24:00:00", "00:00:00"],
        ["timetz"] = ["01:02:03+02", "23:59:59.999999-15:59:59", "24:00:00+15:59:59", "00:00:00+05:45"],
        ["timestamp"] = ["2024-02-29 01:02:03.456789", "2024-12-31 23:59:59", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity", "-infinity"],
        ["timestamptz"] = ["2024-02-29 01:02:03.456789+05:45", "2024-12-31 23:59:59-03:30", "4713-01-02 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "infinity", "-infinity", "1890-01-01 00:00:00+00", "2024-11-03 05:30:00+00"],
        ["interval"] = ["1 year +2 mons -3 days +04:05:06.789", "2 days", "-1 year +1 day -00:00:00.000001", "178956970 years 7 mons 2147483646 days 2562047788:00:54.775806", "-178956970 years -7 mons -2147483647 days -2562047788:00:54.775806", "0", "1000000:00:00"],
        ["bit"] = ["101", "0", "1", string.Concat(Enumerable.Repeat("10011", 50))],
        ["varbit"] = ["101", "", "0000000001", string.Concat(Enumerable.Repeat("10011", 50))],
        ["inet"] = ["10.0.0.1", "10.1.2.3/8", "::ffff:1.2.3.4", "2001:db8::1/64", "0.0.0.0/0"],
        ["cidr"] = ["10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32", "::/0"],
        ["macaddr"] = ["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"],
        ["macaddr8"] = ["08:00:2b:01:02:03:04:05", "ff:ff:ff:ff:ff:ff:ff:ff"],
        ["uuid"] = ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        ["aclitem"] = ["pg_monitor=r/postgres", "=arwdDxt/postgres", "postgres=a*r*/postgres"],
        ["refcursor"] = ["a cursor", "", "ü \" '"],
        ["pg_lsn"] = ["0/1", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0/0"],
        ["pg_snapshot"] = ["10:20:10,14,15", "1:1:", "9223372036854775806:9223372036854775806:"],
        ["txid_snapshot"] = ["10:20:10,14,15", "1:1:"],
        ["tsvector"] = ["a fat cat", "'a':1A,16383D 'b''c':2B '\\\\':3 'ü ':4C", "", "x"],
        ["tsquery"] = ["fat & (rat | !cat)", "'a b':AB* <3> 'c''d' <-> !('ü' & '\\\\')", ""],
    };

    /// <summary>Values of types that extensions bring, and of domains whose CHECK refuses what the base type has first.</summary>
    private static readonly Dictionary<string, string[]> s_more = new()
    {
        ["citext"] = ["Plain", "ÜNÏ ß", "", "NULL"],
        ["hstore"] = ["a=>1", "\"b \\\"q\\\"\"=>\"x=>y, \\\\\", c=>NULL, \"\"=>\"\", ü=>ÿ", ""],
        ["ltree"] = ["Top.Science", "a_b.C9", ""],
        ["lquery"] = ["Top.*{1,3}.sci*@%|x", "!a.*"],
        ["ltxtquery"] = ["Europe & Russia*@ & !Transportation", "a"],
        ["cube"] = ["(1, 2, 3)", "(0.30000000000000004, -0),(1e300, 5e-324)"],
        ["seg"] = ["1 .. 2", "~6.50", "<5", "1.20(+-)0.10"],
        ["ean13"] = ["978-0-393-04002-9", "9780393040029"],
        ["isbn13"] = ["978-0-393-04002-9"],
        ["isbn"] = ["0-393-04002-X", "1-4133-0454-0"],
        ["ismn13"] = ["979-0-2600-0043-8"],
        ["ismn"] = ["M-2600-0043-8"],
        ["issn13"] = ["977-1436452-00-8"],
        ["issn"] = ["1436-4522"],
        ["upc"] = ["220356483481"],
        ["query_int"] = ["1&(2|!3)", "42"],
        ["geometry"] = ["POINT(1 2)", "SRID=4326;POLYGON Z ((0 0 0.1,1 0 1e300,1 1 5e-324,0 0 0.1))", "GEOMETRYCOLLECTION EMPTY"],
        ["geography"] = ["POINT(1 2)", "LINESTRING(-179.999 0.30000000000000004, 10 -89)"],
        ["box2d"] = ["BOX(0 1,2 3)"],
        ["box3d"] = ["BOX3D(0 1 2,3 4 5)"],
        ["spheroid"] = ["SPHEROID[\"GRS 1980\",6378137,298.257222101]"],
        ["box2df"] = [],
        ["gidx"] = [],
        // timestamptz(2): what rounds past the last instant is stored, but no server reads it back.
        ["time_stamp"] = ["2024-02-29 01:02:03.45+00", "294276-12-31 23:59:59.99+00", "infinity"],
        ["yes_or_no"] = ["YES", "NO"],
        ["cardinal_number"] = ["0", "2147483647"],
        ["positive"] = ["1", "42"],
    };

    /// <summary>The values of a type by its bare name; null where it is not known.</summary>
    public static IReadOnlyList<string>? Of(string type, int leastVersion) => type switch
    {
        // Before PostgreSQL 17 an interval can't be infinite.
        "interval" when leastVersion >= 17 => [.. s_values[type], "infinity", "-infinity"],
        _ => s_values.GetValueOrDefault(type) ?? s_more.GetValueOrDefault(type) ?? (Refusing.Contains(type) ? [] : null),
    };
}
