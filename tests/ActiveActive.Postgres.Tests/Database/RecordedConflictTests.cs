using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Database;

/// <summary>What the README's query writes is what <see cref="RecordedConflict"/> reads.</summary>
public sealed class RecordedConflictTests(OldestComplianceServer server) : IClassFixture<OldestComplianceServer>
{
    [Fact]
    public async Task Conflict_history_as_json_is_the_history()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        await using var fixture = await PostgresFixture.CreateAsync(server.Server, "recorded", 5_000, isJoining: false, cancellationToken);
        await server.Server.ExecuteAsync(
            """
            INSERT INTO active_active.conflict (table_name, key, type, local_row, local_stamp, local_origin, local_position,
                remote_row, remote_stamp, remote_origin, remote_position, outcome, winner, resolver, reason)
            VALUES ('public.profiles', '["1", "ü\"\\"]', 'update_origin_differs', '{"id": "1", "tags": "{a}", "name": null}', '2026-01-01 00:00:00.000001+00', 'eu', '16/B374D848',
                    '{"id": "1", "tags": "{b}", "name": "Ann"}', '2026-01-01 05:30:00+05:30', 'us', '0/1', 'merge', 'us', 'TagUnion', 'why'),
                   ('public.profiles', '[]', 'truncate_origin_differs', NULL, '-infinity', 'eu', '0/0', NULL, '2026-01-01 00:00:00+00', 'us', '0/1', 'skip', 'us', 'last_update_wins', 'why')
            """, "recorded", cancellationToken);
        var expected = new List<ConflictRecord>();
        await foreach (var record in fixture.Database.ReadConflictsAsync(new ConflictQuery(), cancellationToken)) expected.Add(record);

        await using var application = NpgsqlDataSource.Create(server.Server.ConnectionStringFor("recorded"));
        await using var query = application.CreateCommand("SELECT jsonb_agg(to_jsonb(c) ORDER BY id DESC)::text FROM active_active.conflict c");
        var read = RecordedConflict.ReadAll((string)(await query.ExecuteScalarAsync(cancellationToken))!);

        Assert.Equal([false, true], read.Select(c => c.CanReplay));
        Assert.All(read.Zip(expected), pair =>
        {
            Assert.Equal(pair.Second.Key, pair.First.Record.Key);
            Assert.Equal(pair.Second, pair.First.Record with { Key = pair.Second.Key });
        });
    }
}
