using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Compliance.Database;
using ActiveActive.Database;
using NpgsqlTypes;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Tests.Database;

public sealed class InMemoryCrashTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private static readonly CommitTimestamp s_stamp = new(1_000);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Crash_takes_back_everything_that_an_unflushed_commit_wrote()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null), Items.Insert("2", "two", null));
        var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(fixture, session, 1, t => [new SetTombstone(t, Items.KeyOf("5"), Version(1)), new InsertRow(t, Row("6", "six"))]);
        await session.FlushAsync(Token);

        await ApplyAsync(fixture, session, 2, t =>
        [
            new UpdateRow(t, Items.KeyOf("1"), Row("1", "uno")), new SetOverride(t, Items.KeyOf("1"), Version(9)),
            new DeleteRow(t, Items.KeyOf("2")), new SetTombstone(t, Items.KeyOf("2"), Version(2)),
            new SetTombstone(t, Items.KeyOf("5"), Version(2)), new SetSiblings(t, Items.KeyOf("7"), [new Sibling(Version(2), null)]),
        ]);
        await ApplyAsync(fixture, session, 3, t => [new UpdateRow(t, Items.KeyOf("1"), Row("1", "eins")), new DeleteRow(t, Items.KeyOf("6"))]);
        await session.BeginAsync(Token);
        await session.ExecuteAsync(new ApplyPlan { Writes = { new DeleteRow(fixture.Table(Items), Items.KeyOf("1")) } }, Token);
        fixture.Memory.Crash();

        await Assert.ThrowsAsync<ReplicationException>(async () => await session.CommitAsync(new(4), s_stamp, Token));
        Assert.Equal(["1|one|∅", "2|two|∅", "6|six|∅"], await fixture.ReadRowsAsync(Items));
        await using var next = await fixture.Database.OpenApplySessionAsync(Us, Token);
        Assert.Equal(new NpgsqlLogSequenceNumber(1), next.AppliedPosition);
        await next.BeginAsync(Token);
        var states = await next.ReadKeysAsync([.. new[] { "1", "2", "5", "7" }.Select(k => new LocalKey(fixture.Table(Items), Items.KeyOf(k)))], Token);
        Assert.Equal(Node, states[0].Row!.Origin);
        Assert.Null(states[0].Override);
        Assert.Null(states[1].Tombstone);
        Assert.Equal(Version(1), states[2].Tombstone);
        Assert.Empty(states[3].Siblings);
        Assert.Equal(Version(1), Assert.Single(await HistoryAsync(fixture)).RemoteVersion);
    }

    [Fact]
    public async Task Synchronous_commits_keep_what_was_committed_before_them()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        Func<Task>[] durable =
        [
            async () => await fixture.RunLocalAsync(Accounts.Insert("1", "ann", "0")),
            async () => await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token),
            async () => await fixture.Database.SaveTombstonesAsync([], Token),
            async () => await session.FlushAsync(Token),
        ];

        for (var i = 0; i < durable.Length; i++)
        {
            await ApplyAsync(fixture, session, (ulong)i + 1, t => [new InsertRow(t, Row($"{i}", "kept"))]);
            await durable[i]();
            fixture.Memory.Crash();
            session = await fixture.Database.OpenApplySessionAsync(Us, Token);
            Assert.Equal(new NpgsqlLogSequenceNumber((ulong)i + 1), session.AppliedPosition);
        }

        Assert.Equal(4, (await fixture.ReadRowsAsync(Items)).Count);
        Assert.Equal(4, (await HistoryAsync(fixture)).Count);
    }

    [Fact]
    public async Task Unflushed_commit_is_not_captured_until_the_log_writer_comes()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await using var reader = await ChangeReader.OpenAsync(fixture.Database, default, null, Token);
        await ApplyAsync(fixture, session, 1, t => [new InsertRow(t, Row("1", "one"))]);
        var next = reader.Ask();
        Assert.False(next.IsCompleted);
        Assert.Equal(["1|one|∅"], await fixture.ReadRowsAsync(Items));

        fixture.Clock.Advance(TimeSpan.FromMilliseconds(200));

        Assert.Equal(Us, (await reader.NextAsync("the applied commit")).ForeignOrigin);
        fixture.Memory.Crash();
        Assert.Equal(["1|one|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Crash_ends_streams_and_waits_and_rolls_back_open_transactions()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        var stream = await fixture.Database.OpenChangeStreamAsync(default, null, Token);
        await using var transactions = stream.ReadAsync(Token).GetAsyncEnumerator(Token);
        Assert.True(await transactions.MoveNextAsync());
        var reading = transactions.MoveNextAsync().AsTask();
        using var holder = fixture.Memory.BeginLocal();
        using var waiter = fixture.Memory.BeginLocal();
        await fixture.RunAsync(holder, Items.Delete(Items.KeyOf("1")));
        var waiting = fixture.RunAsync(waiter, Items.Delete(Items.KeyOf("1"))).AsTask();

        fixture.Memory.Crash(stayDown: true);

        Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => reading.WaitAsync(s_limit, Token))).Kind);
        Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => waiting.WaitAsync(s_limit, Token))).Kind);
        Assert.Throws<ReplicationException>(() => holder.Commit());
        Assert.Throws<ReplicationException>(() => fixture.Memory.BeginLocal());
        fixture.Memory.Start();
        await fixture.RunLocalAsync(Items.Update(Items.KeyOf("1"), ("name", "uno")));
        Assert.Equal(["1|uno|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Confirmed_log_is_recycled_and_refused_later()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        var start = (await fixture.Database.FindCheckpointAsync(Token))!.Position;
        NpgsqlLogSequenceNumber last = default;
        await using (var reader = await ChangeReader.OpenAsync(fixture.Database, start, null, Token))
        {
            for (var i = 0; i < 2_000; i++)
            {
                await fixture.RunLocalAsync(Items.Insert($"{i}", "row", null));
                last = (await reader.NextAsync("the local commit")).Position;
                reader.Stream.Confirm(last);
            }

            // What was not read is never confirmed.
            await fixture.RunLocalAsync(Items.Insert("last", "row", null));
            reader.Stream.Confirm(new NpgsqlLogSequenceNumber(ulong.MaxValue));
        }

        var error = await Assert.ThrowsAsync<ReplicationException>(async () => await fixture.Database.OpenChangeStreamAsync(start, null, Token));
        Assert.Equal(ReplicationErrorKind.Misconfigured, error.Kind);
        await using var again = await ChangeReader.OpenAsync(fixture.Database, default, null, Token);
        Assert.Equal("last", (await again.NextAsync("what was not confirmed")).Changes[0].NewRow![0].Text);
    }

    [Fact]
    public async Task Clock_that_steps_back_gives_stamps_that_do()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await using var reader = await ChangeReader.OpenAsync(fixture.Database, default, null, Token);
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        fixture.Clock.AdjustTime(fixture.Clock.GetUtcNow().AddSeconds(-10));
        await fixture.RunLocalAsync(Items.Insert("2", "two", null));

        var read = await reader.ReadAllAsync();

        Assert.Equal(-10_000_000, read[1].Stamp.Microseconds - read[0].Stamp.Microseconds);
        Assert.True(read[1].Position > read[0].Position);
    }

    [Fact]
    public async Task Forgotten_stamps_are_unknown()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(fixture, session, 1, t => [new InsertRow(t, Row("1", "one"))]);
        fixture.Memory.ForgetCommitTimestamps();
        await ApplyAsync(fixture, session, 2, t => [new InsertRow(t, Row("2", "two"))]);

        await session.BeginAsync(Token);
        var states = await session.ReadKeysAsync([new(fixture.Table(Items), Items.KeyOf("1")), new(fixture.Table(Items), Items.KeyOf("2"))], Token);

        Assert.Equal((CommitTimestamp.Unknown, Node), (states[0].Row!.Stamp, states[0].Row!.Origin));
        Assert.Equal((s_stamp, Us), (states[1].Row!.Stamp, states[1].Row!.Origin));
    }

    private static RowVersion Version(ulong position) => new(s_stamp, Us, new(position));

    private static ColumnValue[] Row(string id, string name) => [ColumnValue.Of(id), ColumnValue.Of(name), ColumnValue.Null];

    private static async Task ApplyAsync(InMemoryFixture fixture, IApplySession session, ulong position, Func<LocalTable, IEnumerable<PlannedWrite>> writes)
    {
        await session.BeginAsync(Token);
        var plan = new ApplyPlan();
        plan.Writes.AddRange(writes(fixture.Table(Items)));
        plan.Conflicts.Add(new ConflictRecord
        {
            Table = Items.FullName, Key = ["1"], Type = ConflictType.InsertExists, RemoteVersion = Version(position),
            Outcome = ConflictOutcome.ApplyRemote, Winner = Us, Resolver = "last_update_wins", Reason = "It is later.",
        });
        await session.ExecuteAsync(plan, Token);
        await session.CommitAsync(new(position), s_stamp, Token);
    }

    private static async Task<IReadOnlyList<ConflictRecord>> HistoryAsync(InMemoryFixture fixture)
    {
        var records = new List<ConflictRecord>();
        await foreach (var record in fixture.Database.ReadConflictsAsync(new ConflictQuery(), Token)) records.Add(record);
        return records;
    }
}
