using ActiveActive.Apply;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Conflict_is_read_as_it_was_recorded()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var full = Entry(Pairs, "b", "a") with
        {
            Type = ConflictType.UpdateOriginDiffers,
            LocalRow = Row.Of(("a", "a"), ("value", "with \"quotes\" and \\"), ("b", "b")),
            LocalVersion = new RowVersion(s_past, Node, default),
            RemoteRow = Row.Of(("a", "a"), ("value", null), ("b", "b")),
            Outcome = ConflictOutcome.Merge,
            Winner = Ap,
        };
        var bare = Entry(Items) with { Type = ConflictType.TruncateOriginDiffers, LocalVersion = new RowVersion(CommitTimestamp.Unknown, Node, default) };
        var before = (await session.ReadServerTimeAsync(Token)).ToDateTimeOffset();

        await RecordAsync(session, 0x100, full, bare);

        var after = (await session.ReadServerTimeAsync(Token)).ToDateTimeOffset();
        var read = await HistoryAsync(fixture, new ConflictQuery());
        Assert.Equal(2, read.Count);
        Assert.True(read[0].Id > read[1].Id && read[1].Id > 0);
        Assert.All(read, r => Assert.InRange(r.RecordedAt, before, after));
        AssertSame(bare, read[0]);
        AssertSame(full, read[1]);
    }

    [Fact]
    public async Task History_is_filtered_and_paged_newest_first()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        for (var i = 0; i < 4; i++)
        {
            await RecordAsync(session, 0x100 + (ulong)i, Entry(Items, $"{i}"), Entry(Pairs, $"{i}", "x") with { Type = ConflictType.DeleteMissing });
        }

        async Task<IEnumerable<string>> KeysAsync(ConflictQuery query) => (await HistoryAsync(fixture, query)).Select(r => $"{r.Table.Name} {r.Key[0]}");

        Assert.Equal(["items 3", "items 2", "items 1", "items 0"], await KeysAsync(new ConflictQuery { Table = Items.FullName }));
        Assert.Equal(["pairs 3", "pairs 2"], await KeysAsync(new ConflictQuery { Type = ConflictType.DeleteMissing, Limit = 2 }));
        Assert.Empty(await KeysAsync(new ConflictQuery { Type = ConflictType.DeleteMissing, Table = Items.FullName }));
        var page = await HistoryAsync(fixture, new ConflictQuery { Limit = 3 });
        Assert.Equal(["pairs 3", "items 3", "pairs 2"], page.Select(r => $"{r.Table.Name} {r.Key[0]}"));
        Assert.Equal(["items 2", "pairs 1", "items 1", "pairs 0", "items 0"], await KeysAsync(new ConflictQuery { BeforeId = page[^1].Id }));
    }

    [Fact]
    public async Task History_is_read_and_deleted_by_time()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await RecordAsync(session, 0x100, Entry(Items, "1"), Entry(Items, "2"));
        fixture.PassTime();
        await RecordAsync(session, 0x200, Entry(Items, "3"));
        var instant = (await HistoryAsync(fixture, new ConflictQuery()))[0].RecordedAt;

        Assert.Equal("3", Assert.Single(await HistoryAsync(fixture, new ConflictQuery { Since = instant })).Key[0]);
        Assert.Equal(2, await fixture.Database.DeleteConflictsAsync(instant, Token));
        Assert.Equal("3", Assert.Single(await HistoryAsync(fixture, new ConflictQuery())).Key[0]);
        Assert.Equal(0, await fixture.Database.DeleteConflictsAsync(instant, Token));
    }

    private static ConflictRecord Entry(ComplianceTable table, params string[] key) => new()
    {
        Table = table.FullName,
        Key = key,
        Type = ConflictType.InsertExists,
        RemoteVersion = Version(s_future, Us, 0x100),
        Outcome = ConflictOutcome.ApplyRemote,
        Winner = Us,
        Resolver = "last_update_wins",
        Reason = "The remote write is later.",
    };

    private static async Task RecordAsync(IApplySession session, ulong position, params ConflictRecord[] records)
    {
        await session.BeginAsync(Token);
        var plan = new ApplyPlan();
        plan.Conflicts.AddRange(records);
        await session.ExecuteAsync(plan, Token);
        await session.CommitAsync(At(position), s_past, Token);
    }

    private static async Task<IReadOnlyList<ConflictRecord>> HistoryAsync(LocalDatabaseFixture fixture, ConflictQuery query)
    {
        var records = new List<ConflictRecord>();
        await foreach (var record in fixture.Database.ReadConflictsAsync(query, Token)) records.Add(record);
        return records;
    }

    private static void AssertSame(ConflictRecord expected, ConflictRecord actual)
    {
        Assert.Equal(expected.Key, actual.Key);
        Assert.Equal(expected.LocalVersion, actual.LocalVersion);
        Assert.Equal(expected with { Id = actual.Id, RecordedAt = actual.RecordedAt, Key = actual.Key }, actual);
    }
}
