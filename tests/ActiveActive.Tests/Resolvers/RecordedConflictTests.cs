using ActiveActive.Testing;
using ActiveActive.Tests.Cluster;
using NpgsqlTypes;

namespace ActiveActive.Tests.Resolvers;

public sealed class RecordedConflictTests
{
    // As PostgreSQL writes it: SELECT to_jsonb(c) FROM active_active.conflict c.
    private const string Json =
        """
        {"id": 7, "key": ["1"], "type": "update_origin_differs", "reason": "2 concurrent versions were folded in the order of their stamps.", "winner": "us", "outcome": "merge",
         "resolver": "App.TagUnion", "local_row": {"id": "1", "name": null, "tags": "{a,b}"}, "local_stamp": "2026-01-01T00:00:02.000001+00:00", "remote_row": {"id": "1", "name": "Ann", "tags": "{a,c}"},
         "table_name": "public.profiles", "recorded_at": "2026-01-01T00:00:03.5+00:00", "local_origin": "us", "remote_stamp": "2026-01-01T00:00:01+00:00", "remote_origin": "eu",
         "local_position": "0/16B3748", "remote_position": "1/2A"}
        """;

    [Fact]
    public void Entry_is_read_whole()
    {
        var record = RecordedConflict.FromJson(Json).Record;
        Assert.Equal((7L, new TableName("public", "profiles"), "1"), (record.Id, record.Table, record.Key.Single()));
        Assert.Equal((ConflictType.UpdateOriginDiffers, ConflictOutcome.Merge, "us", "App.TagUnion"), (record.Type, record.Outcome, record.Winner.Value, record.Resolver));
        Assert.Equal(new RowVersion(CommitTimestamp.From(new DateTimeOffset(2026, 1, 1, 0, 0, 2, TimeSpan.Zero).AddMicroseconds(1)), new("us"), new NpgsqlLogSequenceNumber(0x16B3748)), record.LocalVersion);
        Assert.Equal(new NpgsqlLogSequenceNumber((1UL << 32) + 0x2A), record.RemoteVersion.Position);
        Assert.Equal(Row.Of(("id", "1"), ("name", null), ("tags", "{a,b}")), record.LocalRow);
        Assert.Equal(new DateTimeOffset(2026, 1, 1, 0, 0, 3, 500, TimeSpan.Zero), record.RecordedAt);
    }

    [Fact]
    public void Replay_shows_the_earlier_version_as_local_whichever_stood_there()
    {
        Conflict? asked = null;
        var resolver = new Asks(conflict => { asked = conflict; return ConflictResolution.Merge(Row.Of(("tags", "{a,b,c}"))); });
        var result = RecordedConflict.FromJson(Json).Replay(resolver);
        Assert.Equal(("{a,c}", "{a,b}"), (asked!.Local["tags"], asked.Remote["tags"]));
        Assert.Equal(("eu", "us"), (asked.LocalVersion.Origin.Value, asked.RemoteVersion.Origin.Value));
        // What a merged row does not name comes from the later one.
        Assert.Equal(Row.Of(("id", "1"), ("name", null), ("tags", "{a,b,c}")), result);
        Assert.Equal("{a,c}", RecordedConflict.FromJson(Json).Replay(new Asks(_ => ConflictResolution.KeepLocal))["tags"]);
        Assert.Equal("{a,b}", RecordedConflict.FromJson(Json).Replay(new Asks(_ => ConflictResolution.ApplyRemote))["tags"]);
        Assert.Equal(ReplicationErrorKind.ApplyRefused, Assert.Throws<ReplicationException>(() => RecordedConflict.FromJson(Json).Replay(new Asks(_ => ConflictResolution.Merge(Row.Of(("x", "y")))))).Kind);
    }

    [Fact]
    public void Several_come_as_an_array_or_by_lines()
    {
        var line = Json.ReplaceLineEndings(" ");
        Assert.Equal(2, RecordedConflict.ReadAll($"[{Json}, {Json}]").Count);
        Assert.Equal(2, RecordedConflict.ReadAll($"{line}\n\n{line}\n").Count);
        Assert.Empty(RecordedConflict.ReadAll("[]"));
    }

    [Fact]
    public void Text_that_is_no_entry_is_refused_by_name()
    {
        Assert.Contains("to_jsonb", Assert.Throws<FormatException>(() => RecordedConflict.FromJson("id|key")).Message, StringComparison.Ordinal);
        Assert.Contains("'winner'", Assert.Throws<FormatException>(() => RecordedConflict.FromJson(Json.Replace("\"winner\": \"us\", ", "", StringComparison.Ordinal))).Message, StringComparison.Ordinal);
        Assert.Contains("'id'", Assert.Throws<FormatException>(() => RecordedConflict.ReadAll("[1]")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Conflict_of_a_cluster_replays_to_the_row_that_the_cluster_holds()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        await cluster[0].PutAsync("merged", "1", "of a");
        await cluster[1].PutAsync("merged", "1", "of b");
        await cluster[1].PutAsync("merged", "2", "alone");
        await cluster.ConvergeAsync();
        await cluster[0].DeleteAsync("merged", "2");
        await cluster[1].SetAsync("merged", "2", "again");
        await cluster.ConvergeAsync();
        var merge = new Asks(conflict => ConflictResolution.Merge(conflict.Local.With("v", $"({conflict.Local["v"]}>{conflict.Remote["v"]})")));
        foreach (var node in cluster.Nodes)
        {
            var recorded = node.Conflicts.Select(RecordedConflict.From).ToList();
            Assert.Equal(cluster[0].Read("merged", "1"), Assert.Single(recorded, c => c.CanReplay).Replay(merge));
            var deleted = Assert.Single(recorded, c => !c.CanReplay);
            Assert.Contains("does not hold two rows", Assert.Throws<InvalidOperationException>(() => deleted.Replay(merge)).Message, StringComparison.Ordinal);
        }
    }

    private sealed class Asks(Func<Conflict, ConflictResolution> answer) : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => answer(conflict);
    }
}
