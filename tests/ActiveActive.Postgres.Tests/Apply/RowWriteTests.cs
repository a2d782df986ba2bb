using ActiveActive.Apply;
using ActiveActive.Changes;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class RowWriteTests(ApplyServers servers)
{
    public static TheoryData<int> Versions => ApplyServers.Versions;

    // A type for a key column, and a value as PostgreSQL prints it.
    private static readonly (string Type, string Text)[] s_keys =
    [
        ("text", "it's \"quoted\", {a,b} \\ $1 @p; -- ü €\n\ttail "), ("text", ""), ("varchar(80)", "null"), ("numeric(10,2)", "1.50"),
        ("numeric", "123456789012345678901234567890.000000001"), ("timestamptz", "2024-02-29 23:59:59.123456+00"), ("date", "0044-03-15 BC"),
        ("uuid", "0189f7a2-7f6e-7c53-a1b2-0123456789ab"), ("mood", "so so"), ("bytea", "\\x00ff275c"), ("ext.citext", "MiXed"),
        ("char(6)", "ab    "), ("inet", "10.0.0.1"), ("inet", "10.1.0.0/16"), ("boolean", "t"), ("int[]", "{1,2,3}"), ("float8", "0.1"),
        ("money", "$1,234.56"), ("interval", "1 mon 2 days 03:04:05.5"), ("small", "7"), ("int4range", "[1,5)"), ("\"char\"", "x"),
        ("bit(3)", "101"), ("jsonb", "{\"a\": [1, null]}"),
    ];

    [Theory, MemberData(nameof(Versions))]
    public async Task Every_type_of_key_is_inserted_found_updated_and_deleted_by_its_text(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsSuperuserAsync("CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; GRANT USAGE ON SCHEMA ext TO app");
        await database.RunAsync("CREATE TYPE mood AS ENUM ('fine', 'so so'); CREATE DOMAIN small AS int CHECK (value < 10)");
        await using var lane = await database.OpenLaneAsync();
        for (var i = 0; i < s_keys.Length; i++)
        {
            var (type, text) = s_keys[i];
            var name = $"Odd; \"{i}\"";
            var quoted = $"\"Odd; \"\"{i}\"\"\"";
            await database.RunAsync($"CREATE TABLE {quoted} (\"the @key\" {type}, n int, other text, PRIMARY KEY (n, \"the @key\"))");
            var table = await lane.TableAsync("public." + name);
            // The key's order is that of the primary key, not of the columns.
            Assert.Equal([1, 0], table.KeyOrdinals);

            await lane.ApplyAsync(1, Insert(table, text, "1", "before"), Insert(table, text, "2", "untouched"));
            await lane.ApplyAsync(2, new UpdateRow(table, Key(table, "1", text), Values("~", "~", "after")));
            var states = await lane.ReadAsync(At(table, "3", text), At(table, "2", text), At(table, "1", text));
            Assert.True(states[0].Row is null && states[1].Row is not null && states[2].Row is not null, $"{type} {text}: found {states[1].Row}, {states[2].Row}");
            Assert.Equal(Values(text, "2", "untouched"), states[1].Row!.Values);
            Assert.Equal(Values(text, "1", "after"), states[2].Row!.Values);
            Assert.True(states[2].Row!.Stamp > states[1].Row!.Stamp);

            await lane.ApplyAsync(3, new DeleteRow(table, Key(table, "1", text)));
            Assert.Equal("untouched", await database.ReadAsync($"SELECT other FROM {quoted}"));
        }
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Identity_and_generated_columns_and_defaults_are_left_to_the_database(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price int, twice int GENERATED ALWAYS AS (price * 2) STORED,
                               note text DEFAULT 'default', made text NOT NULL DEFAULT 'here');
            CREATE TABLE lone (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
            """);
        await using var lane = await database.OpenLaneAsync();
        var item = await lane.TableAsync("item");
        var lone = await lane.TableAsync("lone");
        Assert.Equal(["id", "price", "note", "made"], item.Columns.Select(c => c.Name));
        Assert.True(item.Columns[0].IsIdentityAlways);

        await lane.ApplyAsync(1, Insert(item, "41", "5", null, "~"), Insert(lone, "7"));
        Assert.Equal("(41,5,10,,here)", await database.ReadAsync("SELECT item FROM item"));
        await lane.ApplyAsync(2, new UpdateRow(item, Key(item, "41"), Values("41", "6", "~", "~")));
        Assert.Equal("(41,6,12,,here)", await database.ReadAsync("SELECT item FROM item"));

        // Nothing to set: only the version moves.
        var third = await lane.ApplyAsync(3, new UpdateRow(item, Key(item, "41"), Values("~", "~", "~", "~")), new UpdateRow(lone, Key(lone, "7"), Values("~")));
        foreach (var state in await lane.ReadAsync(At(item, "41"), At(lone, "7"))) Assert.Equal(third.Stamp, state.Row!.Stamp);
        Assert.Equal("(41,6,12,,here)", await database.ReadAsync("SELECT item FROM item"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Rows_of_a_partitioned_table_go_to_its_root(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE TABLE sale (id int, region text, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
            CREATE TABLE sale_eu PARTITION OF sale FOR VALUES IN ('eu');
            CREATE TABLE sale_us PARTITION OF sale FOR VALUES IN ('us');
            """);
        await using var lane = await database.OpenLaneAsync();
        var relation = new Relation(TableName.Parse("sale_far"), TableName.Parse("sale"), []);
        var table = (await lane.Session.FindTableAsync(relation, default))!;
        Assert.Equal(TableName.Parse("sale"), table.Name);

        await lane.ApplyAsync(1, Insert(table, "1", "eu", "5"), Insert(table, "1", "us", "6"));
        await lane.ApplyAsync(2, new UpdateRow(table, Key(table, "1", "us"), Values("~", "~", "7")));
        Assert.Equal("7", await database.ReadAsync("SELECT n FROM sale_us"));
        Assert.Equal("5", await database.ReadAsync("SELECT n FROM sale_eu"));
        Assert.Equal(["5", "7"], (await lane.ReadAsync(At(table, "1", "eu"), At(table, "1", "us"))).Select(s => s.Row!.Values[2].Text));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_child_table_that_inherits_is_a_table_of_its_own(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE base (id int PRIMARY KEY, n int); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (base); INSERT INTO child VALUES (1, 1)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("base");
        Assert.Null((await lane.ReadAsync(At(table, "1")))[0].Row);
        await lane.ApplyAsync(1, Insert(table, "1", "2"));
        await lane.ApplyAsync(2, new UpdateRow(table, Key(table, "1"), Values("~", "3")));
        Assert.Equal("1", await database.ReadAsync("SELECT n FROM child"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Tables_without_a_primary_key_or_outside_the_rules_are_refused_by_name(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE keyless (id int); CREATE TABLE late (id int PRIMARY KEY DEFERRABLE)");
        await using var lane = await database.OpenLaneAsync();
        Assert.Null(await lane.Session.FindTableAsync(new Relation(TableName.Parse("nowhere"), TableName.Parse("nowhere"), []), default));
        foreach (var name in new[] { "public.keyless", "public.late", "active_active.tombstone" })
        {
            var refused = await Assert.ThrowsAsync<ReplicationException>(() => lane.TableAsync(name));
            Assert.Equal(ReplicationErrorKind.ApplyRefused, refused.Kind);
            Assert.Contains(name, refused.Message, StringComparison.Ordinal);
        }
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Many_rows_and_keys_travel_in_one_batch(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY, body text)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        var body = new string('x', 500);
        var ids = Enumerable.Range(1, 5000).Select(i => $"{i}").ToList();

        await lane.ApplyAsync(1, [.. ids.Select(id => Insert(table, id, body))]);
        var states = await lane.ReadAsync([.. ids.Select(id => At(table, id)).Reverse()]);

        Assert.Equal(ids.AsEnumerable().Reverse(), states.Select(s => s.Row!.Values[0].Text));
    }

    /// <summary>Sets of rows are sent as array literals, of the values' types or of texts; from bytes in the middle of an array, and from strings.</summary>
    [Theory, MemberData(nameof(Versions))]
    public async Task Many_rows_of_any_texts_arrive_as_they_are(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync(
            """
            CREATE DOMAIN word AS text; CREATE TYPE pair AS (a text, b text);
            CREATE TABLE item (key text PRIMARY KEY, body text, word word, words text[], pair pair, area box, code bpchar(3), bits bit(4), raw bytea, doc json);
            """);
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        string[] texts =
        [
            "", "NULL", "null", "\"", "\\", "\\\"\\", "{a,\"b\"}", " around ", "a,b;c", "'", "\t\n\r", "ü € 😀", "\u007f\u0001", "$1", new('\\', 40_000), new('"', 40_000), new('é', 9_000), string.Concat(Enumerable.Repeat("😀\\\"", 5_000)),
        ];
        string?[] Row(string text, int i) =>
        [
            $"{i}{text[..Math.Min(50, text.Length)]}", text, i % 5 == 0 ? null : text, $"{{{Quoted(text)},NULL}}", $"({Quoted(text)},)", "(3,4),(1,2)", "abc", "0101", "\\x5c22", $"[{System.Text.Json.JsonSerializer.Serialize(text)}]",
        ];
        ColumnValue[] AsBytes(string?[] row) => Array.ConvertAll(row, v => v is null ? ColumnValue.Null : Bytes(v));
        var rows = texts.Select(Row).ToList();

        await lane.ApplyAsync(1, [.. rows.Select((r, i) => new InsertRow(table, i % 2 == 0 ? AsBytes(r) : Values(r)))]);
        await AssertAsync(rows);
        // Each row gets the values of another one, the first form and the second exchanged.
        var moved = rows.Select((r, i) => (string?[])[r[0], .. rows[(i + 7) % rows.Count][1..]]).ToList();
        await lane.ApplyAsync(2, [.. moved.Select((r, i) => new UpdateRow(table, Key(table, r[0]!), i % 2 == 0 ? Values(r) : AsBytes(r)))]);
        await AssertAsync(moved);
        await lane.ApplyAsync(3, [.. moved.Skip(1).Select(r => new DeleteRow(table, Key(table, r[0]!)))]);
        Assert.Equal("1", await database.ReadAsync("SELECT count(*) FROM item"));

        async Task AssertAsync(List<string?[]> expected)
        {
            var states = await lane.ReadAsync([.. expected.Select(r => At(table, r[0]!))]);
            for (var i = 0; i < expected.Count; i++)
            {
                var found = states[i].Row!.Values.Select(v => v.Text).ToList();
                Assert.Equal((expected[i][0], expected[i][1], expected[i][2]), (found[0], found[1], found[2]));
                Assert.Equal((expected[i][5], expected[i][6], expected[i][7], expected[i][8], expected[i][9]), (found[5], found[6], found[7], found[8], found[9]));
            }

            // What an array or a composite value prints need not be what it was read from.
            Assert.Equal("0", await database.ReadAsync("SELECT count(*) FROM item WHERE words IS DISTINCT FROM ARRAY[body, NULL] OR (pair).a IS DISTINCT FROM body OR (pair).b IS NOT NULL"));
        }
    }

    private static string Quoted(string text) => $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}
