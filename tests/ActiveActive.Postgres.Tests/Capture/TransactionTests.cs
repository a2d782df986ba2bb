using ActiveActive.Changes;
using ActiveActive.Database.Postgres;
using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.Capture;

[Collection(nameof(CaptureServers))]
public sealed class TransactionTests(CaptureServers servers)
{
    private const string Table = "CREATE TABLE t (id int PRIMARY KEY, note text)";

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Applied_transaction_tells_its_origin_and_position_and_no_rows(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync();
        var stamp = new DateTime(2024, 5, 6, 7, 8, 9, 123, 456, DateTimeKind.Utc);

        await database.ExecuteAsync("INSERT INTO t VALUES (1)");
        await database.ApplyAsync(PostgresNames.Origin(database.Oid, CaptureDatabase.Us), NpgsqlLogSequenceNumber.Parse("7/ABC"), stamp, "INSERT INTO t VALUES (2); DELETE FROM t WHERE id = 1");
        await database.ApplyAsync("other_tool_" + database.Oid, NpgsqlLogSequenceNumber.Parse("1/1"), stamp, "INSERT INTO t VALUES (3)");
        var seen = await reader.ReadToMarkerAsync();

        Assert.Equal(3, seen.Count);
        Assert.True(seen[0].ForeignOrigin.IsNone);
        Assert.Equal(CaptureDatabase.Us, seen[1].ForeignOrigin);
        Assert.Equal(NpgsqlLogSequenceNumber.Parse("7/ABC"), seen[1].ForeignPosition);
        Assert.Equal(stamp, seen[1].Stamp.ToDateTimeOffset().UtcDateTime);
        Assert.Empty(seen[1].Changes);
        Assert.True(seen[2].ForeignOrigin.IsNone);
        Assert.Equal(default, seen[2].ForeignPosition);
        Assert.Equal(["public.t +(3, (null))"], RowText.Of(seen[2].Changes));
    }

    /// <summary>pgoutput leaves out transactions without anything published: an applier that wrote no row emits a message, too.</summary>
    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Applied_transaction_without_rows_comes_if_it_holds_a_message(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int)");
        await using var reader = await database.OpenAsync();
        var origin = PostgresNames.Origin(database.Oid, CaptureDatabase.Us);

        await database.ApplyAsync(origin, NpgsqlLogSequenceNumber.Parse("0/10"), DateTime.UnixEpoch, "INSERT INTO hidden.t VALUES (1)");
        await database.ApplyAsync(origin, NpgsqlLogSequenceNumber.Parse("0/20"), DateTime.UnixEpoch,
            "INSERT INTO hidden.t VALUES (1); SELECT pg_logical_emit_message(true, 'active_active', '')");
        var seen = Assert.Single(await reader.ReadToMarkerAsync());

        Assert.Equal(NpgsqlLogSequenceNumber.Parse("0/20"), seen.ForeignPosition);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Marker_is_a_transaction_without_changes_and_others_messages_disturb_nothing(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("SELECT pg_logical_emit_message(false, 'someone', repeat('x', 100000))");
        await database.ExecuteAsync("BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'someone', 'x'), pg_logical_emit_message(false, 'someone', 'x'); INSERT INTO t VALUES (2); COMMIT");
        var before = await database.ScalarAsync<NpgsqlLogSequenceNumber>("SELECT pg_current_wal_insert_lsn()");
        var xid = await reader.MarkAsync();
        var seen = Assert.Single(await reader.ReadToAsync(xid));
        await database.ExecuteAsync("SELECT pg_logical_emit_message(true, 'active_active', 'a'), pg_logical_emit_message(true, 'active_active', 'b')");
        var marker = await reader.NextAsync("the marker");

        Assert.Equal(["public.t +(1, (null))", "public.t +(2, (null))"], RowText.Of(seen.Changes));
        Assert.Empty(marker.Changes);
        Assert.True(marker is { IsLastPart: true, ForeignOrigin.IsNone: true });
        Assert.True(marker.Position >= before);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Rolled_back_work_is_never_seen_and_savepoints_fold_into_their_transaction(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync();

        await database.ExecuteAsync("BEGIN; INSERT INTO t VALUES (1); ROLLBACK");
        await database.ExecuteAsync("""
            BEGIN; INSERT INTO t VALUES (2);
            SAVEPOINT a; INSERT INTO t VALUES (3); ROLLBACK TO a;
            SAVEPOINT b; INSERT INTO t VALUES (4); RELEASE b; COMMIT
            """);

        Assert.Equal(["public.t +(2, (null))", "public.t +(4, (null))"], RowText.Of(Assert.Single(await reader.ReadToMarkerAsync()).Changes));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Large_transaction_comes_in_parts_with_one_header(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync(maxChangesPerPart: 10);

        await database.ExecuteAsync("INSERT INTO t SELECT i FROM generate_series(1, 30) i");
        await database.ExecuteAsync("INSERT INTO t SELECT i FROM generate_series(31, 35) i");
        var seen = await reader.ReadToMarkerAsync();

        Assert.Equal([(0, 10, false), (1, 10, false), (2, 10, true), (0, 5, true)], seen.Select(part => (part.Part, part.Changes.Count, part.IsLastPart)));
        Assert.Single(seen.Take(3).Select(part => (part.Xid, part.Position, part.Stamp)).Distinct());
        Assert.Equal(Enumerable.Range(1, 35), seen.SelectMany(part => part.Changes).Select(change => int.Parse(change.NewRow![0].Text!, System.Globalization.CultureInfo.InvariantCulture)));
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Part_ends_when_its_texts_are_long_and_memory_stays_flat(int version)
    {
        const long Characters = 100_000_000;
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync(maxCharactersPerPart: 1_000_000);

        await database.ExecuteAsync($"INSERT INTO t SELECT i, repeat('x', 100000) FROM generate_series(1, {Characters / 100_000}) i");
        var xid = await reader.MarkAsync();
        long characters = 0, peak = 0;
        var baseline = GC.GetTotalMemory(forceFullCollection: true);
        while (await reader.NextAsync("the large transaction") is var part && part.Xid != xid)
        {
            var inPart = part.Changes.Sum(change => (long)change.NewRow![1].Text!.Length);
            Assert.InRange(inPart, 100_000, 1_000_000);
            characters += inPart;
            peak = Math.Max(peak, part.Part % 20 == 0 ? GC.GetTotalMemory(forceFullCollection: true) - baseline : 0);
        }

        Assert.Equal(Characters, characters);
        Assert.InRange(peak, 0, 20_000_000);
    }

    [Theory, InlineData(15, Traits = ["Run", "Long"]), InlineData(18)]
    public async Task Concurrent_transactions_come_in_commit_order(int version)
    {
        await using var database = await CaptureDatabase.CreateAsync(servers, version, Table);
        await using var reader = await database.OpenAsync();
        await using var first = await database.ConnectAsync();
        await using var second = await database.ConnectAsync();

        await CaptureDatabase.ExecuteAsync(first, "BEGIN; INSERT INTO t VALUES (1)");
        await CaptureDatabase.ExecuteAsync(second, "BEGIN; INSERT INTO t VALUES (2); COMMIT");
        await CaptureDatabase.ExecuteAsync(first, "INSERT INTO t VALUES (3); COMMIT");
        var seen = await reader.ReadToMarkerAsync();

        Assert.Equal(["public.t +(2, (null))"], RowText.Of(seen[0].Changes));
        Assert.Equal(["public.t +(1, (null))", "public.t +(3, (null))"], RowText.Of(seen[1].Changes));
        Assert.True(seen[0].Position < seen[1].Position && seen[0].Xid > seen[1].Xid);
    }
}
