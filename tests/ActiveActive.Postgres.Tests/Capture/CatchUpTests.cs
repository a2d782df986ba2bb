using ActiveActive.Database;
using ActiveActive.Database.Postgres;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class CatchUpTests(CaptureServers servers)
{
    private const string Table = "CREATE TABLE t (id int PRIMARY KEY)";

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Copy_yields_the_same_transactions_beside_the_slot_and_is_dropped_with_its_stream(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var main = await database.OpenAsync();
        for (var i = 1; i <= 5; i++) await database.ExecuteAsync($"INSERT INTO t VALUES ({i})");
        await database.ApplyAsync(PostgresNames.Origin(database.Oid, CaptureDatabase.Us), new(77), DateTime.UnixEpoch, "INSERT INTO t VALUES (6)");
        var xid = await main.MarkAsync();
        var seen = await main.ReadToAsync(xid);

        await using (var copy = await database.OpenAsync(seen[1].Position, new SlotCopy(CaptureDatabase.Us)))
        {
            Assert.Equal(2, await SlotsAsync(database));
            Assert.Equal(seen.Skip(1).Select(Describe), (await copy.ReadToAsync(xid)).Select(Describe));

            // What the copy confirms is its own: the slot stays where it is.
            var before = await database.ConfirmedAsync(database.Slot);
            copy.Stream.Confirm(seen[4].Position);
            var name = PostgresNames.SlotCopy(database.Oid, new SlotCopy(CaptureDatabase.Us));
            await ServerCondition.AwaitAsync("the copy is confirmed", async () => await database.ConfirmedAsync(name) == seen[4].Position);
            Assert.Equal(before, await database.ConfirmedAsync(database.Slot));
        }

        Assert.Equal(1, await SlotsAsync(database));
    }

    /// <summary>What the catalog shows no more when the copy is read: peers that catch up must not get another TRUNCATE than the others.</summary>
    [Theory, InlineData(15, false, Traits = ["Run", "Long"]), InlineData(18, false), InlineData(18, true)]
    public async Task Copy_takes_a_truncate_of_leaves_for_what_the_slots_reader_took_it(int version, bool isDropped)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); "
            + "CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (100); CREATE TABLE p_high PARTITION OF p FOR VALUES FROM (100) TO (200); CREATE TABLE p_top PARTITION OF p FOR VALUES FROM (200) TO (300)");
        await using var main = await database.OpenAsync();
        await database.ExecuteAsync("INSERT INTO p VALUES (1), (100), (200)");
        await main.ReadToMarkerAsync();
        await database.ExecuteAsync("BEGIN; TRUNCATE p_low, p_high; ALTER TABLE p DETACH PARTITION p_top; COMMIT");
        var xid = await main.MarkAsync();
        var truncate = Assert.Single(await main.ReadToAsync(xid));
        Assert.Equal(2, truncate.Changes.Count);
        if (isDropped) await database.ExecuteAsync("DROP TABLE p_top");

        await using var copy = await main.OpenBesideAsync(truncate.Position, new SlotCopy(CaptureDatabase.Us));
        Assert.Equal(RowText.Of(truncate.Changes), RowText.Of(Assert.Single(await copy.ReadToAsync(xid)).Changes));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Copy_that_a_stopped_process_left_is_replaced_and_one_in_use_is_not(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        var name = PostgresNames.SlotCopy(database.Oid, new SlotCopy(CaptureDatabase.Us));
        await database.ExecuteAsync($"SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')");

        await using var first = await database.OpenAsync(default, new SlotCopy(CaptureDatabase.Us));
        await first.ReadToMarkerAsync();
        var fault = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync(default, new SlotCopy(CaptureDatabase.Us)));

        Assert.Equal(ReplicationErrorKind.InUse, fault.Kind);
        Assert.Contains(name, fault.Message, StringComparison.Ordinal);
        await first.ReadToMarkerAsync();
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Copy_that_cannot_serve_the_start_leaves_no_slot(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await database.ExecuteAsync($"SELECT pg_replication_slot_advance('{database.Slot}', pg_current_wal_lsn())");

        await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync(new(1), new SlotCopy(CaptureDatabase.Us)));

        Assert.Equal(1, await SlotsAsync(database));
    }

    [Theory, InlineData(15, false), InlineData(18, false), InlineData(18, true)]
    public async Task Copy_that_is_far_behind_reads_in_batches_where_the_server_has_room_and_then_streams(int version, bool lacksRoom)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE t (id int PRIMARY KEY, filler text)");
        await using var main = await database.OpenAsync();
        await database.ExecuteAsync("INSERT INTO t VALUES (-1, '')");
        var before = await main.ReadToMarkerAsync();
        // The second ends a batch.
        await database.ExecuteAsync("INSERT INTO t VALUES (0, NULL)");
        await database.ExecuteAsync("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 120000) i");
        await database.ApplyAsync(PostgresNames.Origin(database.Oid, CaptureDatabase.Us), new(77), DateTime.UnixEpoch, "INSERT INTO t VALUES (200000)");
        await database.ExecuteAsync("DELETE FROM t WHERE id <= 3");
        var xid = await main.MarkAsync();
        var seen = await main.ReadToAsync(xid);
        if (lacksRoom) await database.ExecuteAsync($"ALTER DATABASE {database.Name} SET temp_file_limit = '64kB'");

        await using var copy = await database.OpenAsync(new((ulong)before[^1].Position + 1), new SlotCopy(CaptureDatabase.Us));
        var first = await copy.NextAsync("the first transaction that lies behind");
        Assert.Equal(lacksRoom, await database.ScalarAsync<bool>($"SELECT active FROM pg_replication_slots WHERE slot_name = '{PostgresNames.SlotCopy(database.Oid, new SlotCopy(CaptureDatabase.Us))}'"));
        List<CapturedTransaction> read = [first, .. await copy.ReadToAsync(xid)];

        // The marker of the first reading lies after the start, too.
        Assert.Equal(seen.Select(DescribePart), read.Where(t => t.Changes.Count > 0 || !t.ForeignOrigin.IsNone).Select(DescribePart));
        await database.ExecuteAsync("INSERT INTO t VALUES (-2, '')");
        Assert.Equal(["public.t +(-2, )"], RowText.Of(Assert.Single(await copy.ReadToMarkerAsync()).Changes));
        Assert.True(await database.ScalarAsync<bool>($"SELECT active FROM pg_replication_slots WHERE slot_name = '{PostgresNames.SlotCopy(database.Oid, new SlotCopy(CaptureDatabase.Us))}'"));
    }

    private static string DescribePart(CapturedTransaction part) =>
        $"{part.Xid} {part.Position} {part.Stamp} {part.ForeignOrigin} {part.ForeignPosition} {part.Part} {part.IsLastPart} {part.Changes.Count} {string.Join("; ", RowText.Of([.. part.Changes.Take(2), .. part.Changes.TakeLast(1)]))}";

    private static string Describe(CapturedTransaction transaction) =>
        $"{transaction.Xid} {transaction.Position} {transaction.Stamp} {transaction.ForeignOrigin} {transaction.ForeignPosition} {string.Join("; ", RowText.Of(transaction.Changes))}";

    private static Task<long> SlotsAsync(CaptureDatabase database) =>
        database.ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()");
}
