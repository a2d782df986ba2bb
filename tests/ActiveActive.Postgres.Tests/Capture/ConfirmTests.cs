using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class ConfirmTests(CaptureServers servers)
{
    private const string Table = "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int)";

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Restart_gives_what_was_not_confirmed_and_nothing_before(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        NpgsqlLogSequenceNumber second;
        await using (var reader = await database.OpenAsync())
        {
            for (var i = 1; i <= 4; i++) await database.ExecuteAsync($"INSERT INTO t VALUES ({i})");
            second = (await reader.ReadToMarkerAsync())[1].Position;
            reader.Stream.Confirm(second);
            await ServerCondition.AwaitAsync($"the slot is confirmed up to {second}", async () => await database.ConfirmedAsync(database.Slot) == second);
        }

        // The confirmed transaction itself still comes, since its commit record starts at the position, not before.
        await using (var again = await database.OpenAsync())
            Assert.Equal(["public.t +(2)", "public.t +(3)", "public.t +(4)"], RowText.Of((await again.ReadToMarkerAsync()).SelectMany(t => t.Changes)));

        // A start beyond the confirmed position leaves out what lies before it, and only that.
        await using (var later = await database.OpenAsync(new NpgsqlLogSequenceNumber((ulong)second + 1)))
            Assert.Equal(["public.t +(3)", "public.t +(4)"], RowText.Of((await later.ReadToMarkerAsync()).SelectMany(t => t.Changes)));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Start_before_the_confirmed_position_is_refused_and_never_a_silent_gap(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        var start = await database.ConfirmedAsync(database.Slot);
        await database.ExecuteAsync("INSERT INTO t VALUES (1)");
        await database.ExecuteAsync($"SELECT pg_replication_slot_advance('{database.Slot}', pg_current_wal_lsn())");

        var fault = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync(start));

        Assert.Equal(ReplicationErrorKind.Misconfigured, fault.Kind);
        Assert.Contains(database.Slot, fault.Message, StringComparison.Ordinal);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Idle_database_confirms_while_nothing_is_published(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync();
        var next = reader.NextAsync("the insert at the end");

        await database.ExecuteAsync("INSERT INTO hidden.t SELECT generate_series(1, 10000)");
        var target = await database.ScalarAsync<NpgsqlLogSequenceNumber>("SELECT pg_current_wal_lsn()");
        await ServerCondition.AwaitAsync($"keepalives move the received position to {target}", () => Task.FromResult(reader.Stream.ReceivedPosition >= target));
        reader.Stream.Confirm(reader.Stream.ReceivedPosition);
        await ServerCondition.AwaitAsync($"the slot is confirmed up to {target}", async () => await database.ConfirmedAsync(database.Slot) >= target);

        Assert.False(next.IsCompleted);
        await database.ExecuteAsync("INSERT INTO t VALUES (1)");
        Assert.Equal(["public.t +(1)"], RowText.Of((await next).Changes));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Confirmation_never_goes_backwards_nor_past_what_was_received(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync();
        await database.ExecuteAsync("INSERT INTO t VALUES (1)");
        await reader.ReadToMarkerAsync();
        var next = reader.NextAsync("the insert at the end");

        // Read before: the confirmation may be there before the next statement is.
        var initial = await database.ConfirmedAsync(database.Slot);
        reader.Stream.Confirm(NpgsqlLogSequenceNumber.Parse("FFFF/0"));
        var most = initial;
        await ServerCondition.AwaitAsync($"the slot's confirmed position moves from {initial}", async () => (most = await database.ConfirmedAsync(database.Slot)) > initial);
        Assert.True(most <= reader.Stream.ReceivedPosition);
        reader.Stream.Confirm(new NpgsqlLogSequenceNumber(1));
        await database.ExecuteAsync("INSERT INTO t VALUES (2)");

        Assert.Equal(["public.t +(2)"], RowText.Of((await next).Changes));
        Assert.True(await database.ConfirmedAsync(database.Slot) >= most);
    }

    /// <summary>The commit's bytes have arrived, but the reader has not asked for the next one: another thread must not confirm past it.</summary>
    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Received_position_waits_for_the_delivery_of_an_open_transaction(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync(maxChangesPerPart: 1);
        await database.ExecuteAsync("INSERT INTO t VALUES (1), (2)");
        var xid = await reader.MarkAsync();

        Assert.True(reader.Stream.ReceivedPosition <= (await reader.NextAsync("part 0")).Position);
        var last = await reader.NextAsync("part 1");
        Assert.True(last.IsLastPart);
        Assert.Equal(last.Position, reader.Stream.ReceivedPosition);
        Assert.Empty(await reader.ReadToAsync(xid));
        Assert.True(reader.Stream.ReceivedPosition > last.Position);
    }
}
