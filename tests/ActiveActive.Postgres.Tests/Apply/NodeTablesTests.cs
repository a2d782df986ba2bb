using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;
using static ActiveActive.Postgres.Tests.Apply.ApplyDatabase;
using static ActiveActive.Postgres.Tests.Apply.ApplyLane;

namespace ActiveActive.Postgres.Tests.Apply;

[Collection(ApplyServers.Collection)]
public sealed class NodeTablesTests(ApplyServers servers)
{
    public static TheoryData<int> Versions => ApplyServers.Versions;

    [Theory, MemberData(nameof(Versions))]
    public async Task A_checkpoint_is_read_back_and_never_moves_back(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        Assert.Null(await database.Node.FindCheckpointAsync(default));

        var vector = DependencyVector.Empty.Advance(Us, new(0x1_0000_0002)).Advance(Asia, new(3));
        CaptureCheckpoint later = new(new(0xAB_0000_00CD), Stamp(7), vector);
        await database.Node.SaveCheckpointAsync(new(new(5), CommitTimestamp.Unknown, DependencyVector.Empty), default);
        await database.Node.SaveCheckpointAsync(later, default);
        await database.Node.SaveCheckpointAsync(new(new(6), Stamp(1), DependencyVector.Empty), default);
        Assert.Equal(later, await database.Node.FindCheckpointAsync(default));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task A_marker_lies_behind_everything_visible(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        var before = NpgsqlLogSequenceNumber.Parse(await database.ReadAsync("SELECT pg_current_wal_insert_lsn()"));
        var first = (await database.Node.WriteMarkerAsync(CommitTimestamp.Unknown, default)).Position;
        var second = (await database.Node.WriteMarkerAsync(CommitTimestamp.Unknown, default)).Position;
        Assert.True(before < first && first < second);
        Assert.True(second <= NpgsqlLogSequenceNumber.Parse(await database.ReadAsync("SELECT pg_current_wal_flush_lsn()")));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Collecting_drops_what_is_stable_and_never_lets_a_keys_greatest_delete_fall(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        TableName plain = new("public", "plain"), kept = new("public", "kept"), gone = new("public", "gone");
        await database.Node.SaveTombstonesAsync(
        [
            new(plain, "[\"stable\"]", Version(Us, 1, 10)), new(plain, "[\"unstable\"]", Version(Us, 2, 11)), new(plain, "[\"unknown\"]", Version(Asia, 1, 1)),
            // The table's tombstone stays: what is newer stays with it, what is older may go.
            new(kept, "", Version(Us, 50, 50)), new(kept, "[\"newer\"]", Version(Eu, 60, 5)), new(kept, "[\"older\"]", Version(Eu, 40, 4)),
            // The table's goes: what is older goes with it although it is not stable itself.
            new(gone, "", Version(Us, 50, 9)), new(gone, "[\"newer\"]", Version(Us, 70, 70)), new(gone, "[\"older\"]", Version(Asia, 40, 4)),
        ], default);

        await database.Node.CollectAsync(DependencyVector.Empty.Advance(Us, new(10)).Advance(Eu, new(5)), (await database.Node.WriteMarkerAsync(CommitTimestamp.Unknown, default)).Horizon, default);

        Assert.Equal(
            "gone[\"newer\"] kept kept[\"newer\"] plain[\"unknown\"] plain[\"unstable\"]",
            await database.ReadAsync("SELECT string_agg(substr(table_name, 8) || key, ' ' ORDER BY table_name, key COLLATE \"C\") FROM active_active.tombstone"));
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Tombstones_of_many_rows_take_few_rows_until_they_are_old(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await SaveManyAsync(Version(Us, 5, 50));
        await SaveManyAsync(Version(Us, 5, 50));
        await SaveManyAsync(Version(Us, 4, 40));
        await database.Node.SaveTombstonesAsync([new(table.Name, Key(table, "7").ToText(), Version(Asia, 6, 1)), new(table.Name, Key(table, "8").ToText(), Version(Asia, 3, 1))], default);
        // 64 buckets, two versions.
        Assert.Equal("128 2000 2", await database.ReadAsync("SELECT count(*) || ' ' || sum(cardinality(keys)) || ' ' || (SELECT count(*) FROM active_active.tombstone) FROM active_active.tombstone_block"));

        // Another part of the transaction may have a key in common; what it has besides is not left out.
        await database.Node.SaveTombstonesAsync([.. Enumerable.Range(1, 1300).Select(i => new Tombstone(table.Name, Key(table, $"{i}").ToText(), Version(Us, 5, 50)))], default);
        Assert.Equal(Version(Us, 5, 50), (await lane.ReadAsync(At(table, "1300")))[0].Tombstone);

        await UnpackAsync(TimeSpan.FromHours(1));
        Assert.Equal("2", await database.ReadAsync("SELECT count(*) FROM active_active.tombstone"));
        await UnpackAsync(TimeSpan.FromSeconds(-1));
        Assert.Equal("0 1300", await database.ReadAsync("SELECT (SELECT count(*) FROM active_active.tombstone_block) || ' ' || count(*) FROM active_active.tombstone"));
        Assert.Equal([Version(Asia, 6, 1), Version(Us, 5, 50), Version(Us, 5, 50)], (await lane.ReadAsync(At(table, "7"), At(table, "8"), At(table, "1000"))).Select(s => s.Tombstone!.Value));

        ValueTask SaveManyAsync(RowVersion deleted) => database.Node.SaveTombstonesAsync([.. Enumerable.Range(1, 1000).Select(i => new Tombstone(table.Name, Key(table, $"{i}").ToText(), deleted))], default);

        async Task UnpackAsync(TimeSpan age)
        {
            await using var connection = await database.ConnectAsync();
            await using var batch = new Npgsql.NpgsqlBatch(connection) { BatchCommands = { ActiveActive.Database.Postgres.TombstoneTable.Unpack(age) } };
            await batch.ExecuteNonQueryAsync();
        }
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Overrides_and_siblings_are_collected_when_all_their_versions_are_stable(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await database.RunAsync("CREATE TABLE item (id int PRIMARY KEY)");
        await using var lane = await database.OpenLaneAsync();
        var table = await lane.TableAsync("item");
        await lane.ApplyAsync(1,
            Insert(table, "1"), Insert(table, "2"),
            new SetOverride(table, Key(table, "1"), Version(Us, 1, 10)), new SetOverride(table, Key(table, "2"), Version(Asia, 1, 10)),
            new SetSiblings(table, Key(table, "1"), [new(Version(Us, 1, 10), null), new(Version(Us, 1, 9), null)]),
            new SetSiblings(table, Key(table, "2"), [new(Version(Us, 1, 10), null), new(Version(Asia, 1, 1), null)]));

        await database.Node.CollectAsync(DependencyVector.Empty.Advance(Us, new(10)), (await database.Node.WriteMarkerAsync(CommitTimestamp.Unknown, default)).Horizon, default);

        var states = await lane.ReadAsync(At(table, "1"), At(table, "2"));
        Assert.Null(states[0].Override);
        Assert.Empty(states[0].Siblings);
        Assert.NotNull(states[1].Override);
        Assert.Equal(2, states[1].Siblings.Count);
    }

    [Theory, MemberData(nameof(Versions))]
    public async Task Conflicts_are_kept_with_their_transaction_and_read_newest_first(int version)
    {
        await using var database = await servers.CreateDatabaseAsync(version);
        await using var lane = await database.OpenLaneAsync();
        var full = new ConflictRecord
        {
            Table = new("public", "item"), Key = ["1", "it's \"x\""], Type = ConflictType.UpdateOriginDiffers,
            LocalRow = Row.Of(("id", "1"), ("name", "nasty \"'\\ \n €")), LocalVersion = Version(Eu, 123456, 0x1_0000_0001),
            RemoteRow = Row.Of(("id", "1"), ("name", null)), RemoteVersion = Version(Us, 7, 8), Outcome = ConflictOutcome.ApplyRemote,
            Winner = Us, Resolver = "last_update_wins", Reason = "The remote write is later.",
        };
        var bare = full with
        {
            Table = new("public", "other"), Key = [], Type = ConflictType.DeleteMissing, LocalRow = null, LocalVersion = null, RemoteRow = null,
            Outcome = ConflictOutcome.Skip,
        };
        var unknown = bare with { Type = ConflictType.TruncateOriginDiffers, LocalVersion = new RowVersion(CommitTimestamp.Unknown, Eu, default) };

        await lane.Session.BeginAsync(default);
        await lane.Session.ExecuteAsync(PlanOf(full), default);
        await lane.Session.RollbackAsync(default);
        await lane.Session.BeginAsync(default);
        await lane.Session.ExecuteAsync(PlanOf(full, bare, unknown), default);
        await lane.Session.CommitAsync(new(5), Stamp(1), default);

        var read = await database.Node.ReadConflictsAsync(new ConflictQuery(), default).ToListAsync();
        ConflictRecord[] written = [unknown, bare, full];
        Assert.Equal(3, read.Count);
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(written[i].Key, read[i].Key);
            Assert.True(read[i].Id > 0 && (DateTimeOffset.UtcNow - read[i].RecordedAt).Duration() < TimeSpan.FromMinutes(5));
            Assert.Equal(written[i], read[i] with { Id = 0, RecordedAt = default, Key = written[i].Key });
        }

        Assert.Equal("update_origin_differs apply_remote", await database.ReadAsync("SELECT type || ' ' || outcome FROM active_active.conflict ORDER BY id LIMIT 1"));
        Assert.Equal([read[2].Id], await IdsAsync(new() { Table = full.Table }));
        Assert.Equal([read[1].Id], await IdsAsync(new() { Type = ConflictType.DeleteMissing }));
        Assert.Equal([read[1].Id], await IdsAsync(new() { BeforeId = read[0].Id, Limit = 1 }));
        Assert.Equal([], await IdsAsync(new() { Since = read[0].RecordedAt.AddSeconds(1) }));
        Assert.Equal(0, await database.Node.DeleteConflictsAsync(read[2].RecordedAt.AddSeconds(-1), default));
        Assert.Equal(3, await database.Node.DeleteConflictsAsync(read[0].RecordedAt.AddSeconds(1), default));

        async Task<IEnumerable<long>> IdsAsync(ConflictQuery query) =>
            (await database.Node.ReadConflictsAsync(query, default).ToListAsync()).Select(r => r.Id);
    }

    private static ApplyPlan PlanOf(params ConflictRecord[] records)
    {
        var plan = new ApplyPlan();
        plan.Conflicts.AddRange(records);
        return plan;
    }
}
