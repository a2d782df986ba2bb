using ActiveActive.Database;
using ActiveActive.Database.Postgres;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class CatchUpTests(CaptureServers servers)
{
    private const string Table = "CREATE TABLE t (id int PRIMARY KEY)";

    [Theory, InlineData(15), InlineData(18)]
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

    [Theory, InlineData(15), InlineData(18)]
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

    [Theory, InlineData(15), InlineData(18)]
    public async Task Copy_that_cannot_serve_the_start_leaves_no_slot(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await database.ExecuteAsync($"SELECT pg_replication_slot_advance('{database.Slot}', pg_current_wal_lsn())");

        await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync(new(1), new SlotCopy(CaptureDatabase.Us)));

        Assert.Equal(1, await SlotsAsync(database));
    }

    private static string Describe(CapturedTransaction transaction) =>
        $"{transaction.Xid} {transaction.Position} {transaction.Stamp} {transaction.ForeignOrigin} {transaction.ForeignPosition} {string.Join("; ", RowText.Of(transaction.Changes))}";

    private static Task<long> SlotsAsync(CaptureDatabase database) =>
        database.ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()");
}
