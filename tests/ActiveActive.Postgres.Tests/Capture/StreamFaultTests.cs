using ActiveActive.Database.Postgres;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class StreamFaultTests(CaptureServers servers)
{
    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Slot_that_is_held_names_itself_and_its_holder(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version);
        await using var rival = await database.OpenAsync();
        await using var holder = await database.OpenAsync();
        await holder.ReadToMarkerAsync();
        var pid = await database.ScalarAsync<int>($"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{database.Slot}'");

        // Both were opened while the slot was free; and one that is opened now.
        ReplicationException[] faults = [await rival.FaultAsync("the fault of the rival"), await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync())];

        Assert.All(faults, fault => Assert.Equal(ReplicationErrorKind.InUse, fault.Kind));
        Assert.All(faults, fault => Assert.Contains($"'{database.Slot}' is held by the server process {pid}", fault.Message, StringComparison.Ordinal));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Slot_is_free_as_soon_as_its_stream_is_disposed(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE t (id int PRIMARY KEY)");
        for (var i = 0; i < 3; i++)
        {
            // Disposed while it waits, and while it is in the middle of a large transaction.
            await using var reader = await database.OpenAsync(maxChangesPerPart: 1);
            await reader.ReadToMarkerAsync();
            await database.ExecuteAsync($"INSERT INTO t SELECT generate_series({i * 20_000}, {(i * 20_000) + 19_999})");
            var xid = await reader.MarkAsync();
            Assert.False((await reader.NextAsync("the first part")).IsLastPart);
            await reader.Stream.DisposeAsync();

            await using var waiting = await database.OpenAsync();
            await waiting.ReadToAsync(xid);
            var next = waiting.NextAsync("nothing");
            await waiting.Stream.DisposeAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next);
            Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE active AND database = current_database()"));
        }
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Missing_slot_and_missing_publication_are_named(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, withSlot: false);
        var noSlot = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync());
        await database.ExecuteAsync("DROP PUBLICATION active_active");
        var noPublication = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync());

        Assert.Equal(ReplicationErrorKind.Misconfigured, noSlot.Kind);
        Assert.Contains($"slot '{database.Slot}' does not exist", noSlot.Message, StringComparison.Ordinal);
        Assert.Equal(ReplicationErrorKind.Misconfigured, noPublication.Kind);
        Assert.Contains("publication 'active_active'", noPublication.Message, StringComparison.Ordinal);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Slot_dropped_between_opening_and_reading_is_named(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version);
        await using var reader = await database.OpenAsync();
        await database.ExecuteAsync($"SELECT pg_drop_replication_slot('{database.Slot}')");

        var fault = await reader.FaultAsync("the fault");

        Assert.Equal(ReplicationErrorKind.Misconfigured, fault.Kind);
        Assert.Contains(database.Slot, fault.Message, StringComparison.Ordinal);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Terminated_session_is_transient_and_the_next_stream_goes_on(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE TABLE t (id int PRIMARY KEY)");
        await using (var reader = await database.OpenAsync())
        {
            await reader.ReadToMarkerAsync();
            var fault = reader.FaultAsync("the end of the session");
            await database.ExecuteAsync("INSERT INTO t VALUES (1); SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()");
            Assert.Equal(ReplicationErrorKind.Transient, (await fault).Kind);
        }

        await using var again = await database.OpenAsync();
        Assert.Contains("public.t +(1)", RowText.Of(await again.ReadChangesAsync()));
    }

    [Theory]
    [InlineData(15, false)]
    [InlineData(18, false)]
    [InlineData(15, true)]
    [InlineData(18, true)]
    public async Task Server_that_stops_or_crashes_is_transient(int version, bool crash)
    {
        await using var own = new CaptureServers();
        PostgresServer server = await own.GetAsync(version);
        var database = await CaptureDatabase.CreateAsync(own, version);
        await using var reader = await database.OpenAsync();
        await reader.ReadToMarkerAsync();
        var fault = reader.FaultAsync("the end of the server");

        if (crash) await server.KillAsync(TestContext.Current.CancellationToken);
        else await server.StopAsync(PostgresStopMode.Fast, TestContext.Current.CancellationToken);

        Assert.Equal(ReplicationErrorKind.Transient, (await fault).Kind);
        var refused = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync());
        Assert.Equal(ReplicationErrorKind.Transient, refused.Kind);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Role_without_replication_is_denied(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version);
        var superuser = database.ConnectionString;
        await database.ExecuteAsync($"CREATE ROLE nobody_{database.Oid} LOGIN PASSWORD 'secret'");
        database.ConnectionString = new Npgsql.NpgsqlConnectionStringBuilder(superuser) { Username = $"nobody_{database.Oid}", Password = "secret" }.ConnectionString;

        var fault = await Assert.ThrowsAsync<ReplicationException>(() => database.OpenAsync());

        Assert.Equal(ReplicationErrorKind.AccessDenied, fault.Kind);
    }
}
