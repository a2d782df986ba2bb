namespace ActiveActive.Benchmarks.Workloads;

/// <summary>W1 to W5, and those of the verb <c>wide</c>.</summary>
internal static class StandardWorkloads
{
    /// <summary>
    /// A part of everything, so that statements are prepared and caches filled before it counts, and .NET has compiled for the second time what runs often: it does
    /// that while a program runs, which no server that has been up for a minute pays for. Leaves no row.
    /// </summary>
    /// <param name="writer">Which of the writers, from 0; each has its own keys.</param>
    public static string WarmUp(int writer) => $"""
        DO $$ BEGIN
            FOR i IN {writer}00001..{writer}03000 LOOP INSERT INTO warm VALUES (i, i, repeat('x', 100)); UPDATE warm SET v = v + 1 WHERE id = i - 1; COMMIT; END LOOP;
            INSERT INTO warm SELECT i, i, repeat('x', 100) FROM generate_series({writer}10001, {writer}40000) i; COMMIT;
            UPDATE warm SET v = v + 1 WHERE id BETWEEN {writer}10001 AND {writer}40000; COMMIT;
            DELETE FROM warm WHERE id BETWEEN {writer}10001 AND {writer}40000; COMMIT;
            FOR i IN {writer}00001..{writer}00100 LOOP DELETE FROM warm WHERE id = i; COMMIT; END LOOP;
            DELETE FROM warm WHERE id BETWEEN {writer}00001 AND {writer}99999; COMMIT;
        END $$
        """;

    public static Workload W1(double scale)
    {
        var (transactions, branches) = (Count(100_000, scale), scale < 0.1 ? 2 : 10);
        return new("W1", transactions, Pgbench.Seed(branches), (place, cancel) => Pgbench.RunAsync(place, branches, transactions, cancel));
    }

    public static Workload W2(double scale, string name = "W2")
    {
        var rows = Count(1_000_000, scale);
        return Sql(name, rows, "CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL, t text NOT NULL);", $"INSERT INTO item {Items(rows)}");
    }

    public static Workload W3(double scale)
    {
        var rows = Count(500_000, scale);
        return Sql("W3", rows, Filled(rows), "UPDATE item SET v = v + 1");
    }

    public static Workload W4(double scale)
    {
        var rows = Count(100_000, scale);
        // Picked ahead of the statement: random() within it would be asked for every row.
        return Sql("W4", rows, Filled(rows), $"DO $$ DECLARE picked int; BEGIN FOR i IN 1..{rows} LOOP picked := 1 + floor(random() * {rows})::int; UPDATE item SET v = v + 1 WHERE id = picked; COMMIT; END LOOP; END $$");
    }

    public static Workload W5(double scale)
    {
        var rows = Count(300_000, scale);
        return Sql("W5", rows, Filled(rows), "DELETE FROM item");
    }

    public static IReadOnlyList<Workload> Drain(double scale) => [W1(scale), W2(scale), W3(scale), W4(scale), W5(scale)];

    public static IReadOnlyList<Workload> Wide(double scale)
    {
        string[] columns = [.. Enumerable.Range(1, 100).Select(i => $"c{i} {(i % 2 == 0 ? "int" : "text")}")];
        var values = string.Join(", ", Enumerable.Range(1, 100).Select(i => i % 2 == 0 ? "i" : "'value ' || i"));
        return
        [
            Batches("wide_rows_1kb", Count(50_000, scale), 100, "id int PRIMARY KEY, t text", "i, (SELECT string_agg(md5(random()::text || n || i), '') FROM generate_series(1, 32) n)"),
            Batches("wide_rows_100kb", Count(1_000, scale), 10, "id int PRIMARY KEY, t text", "i, (SELECT string_agg(md5(random()::text || n || i), '') FROM generate_series(1, 3200) n)"),
            Batches("wide_columns_100", Count(20_000, scale), 100, $"id int PRIMARY KEY, {string.Join(", ", columns)}", $"i, {values}"),
            Batches("wide_jsonb", Count(50_000, scale), 100, "id int PRIMARY KEY, j jsonb, n numeric, u uuid, a int[], at timestamptz, b bytea",
                "i, jsonb_build_object('id', i, 'name', md5(i::text), 'tags', ARRAY['a', 'b', i::text]), i * 1.25, md5(i::text)::uuid, ARRAY[i, i + 1, i + 2], now(), decode(md5(i::text), 'hex')"),
            W2(scale, "wide_million_rows"),
        ];
    }

    public static int Count(int full, double scale) => Math.Max(20, (int)(full * scale));

    public static string Filled(int rows) => $"CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL, t text NOT NULL); INSERT INTO item {Items(rows)};";

    private static string Items(int rows) => $"SELECT i, i, repeat(chr(97 + i % 26), 72) FROM generate_series(1, {rows}) i";

    private static Workload Sql(string name, int units, string seed, string sql) => new(name, units, seed, (place, cancel) => place.Database.ExecuteAsync(sql, cancel));

    private static Workload Batches(string name, int rows, int rowsPerTransaction, string columns, string values) => Sql(
        name, rows, $"CREATE TABLE item ({columns});",
        $"DO $$ BEGIN FOR b IN 0..{rows - 1} BY {rowsPerTransaction} LOOP INSERT INTO item SELECT {values} FROM generate_series(b + 1, least(b + {rowsPerTransaction}, {rows})) i; COMMIT; END LOOP; END $$");
}
