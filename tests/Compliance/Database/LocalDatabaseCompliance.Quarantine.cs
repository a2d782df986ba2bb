using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Quarantined_transaction_is_stored_with_its_progress_and_told_to_capture()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        var entry = await PutAsideAsync(session, 0x100, "\U0001F642 ü", [1, 2, 0], []);
        await PutAsideAsync(session, 0x200, "other", [3]);

        var stored = await fixture.Database.ReadQuarantineAsync(Us, Token);
        Assert.Equal([entry.Id, entry.Id + 1], stored.Select(e => e.Id));
        Assert.Equal(Describe(entry), Describe(stored[0]));
        Assert.Empty(await fixture.Database.ReadQuarantineAsync(Ap, Token));
        Assert.Equal([1, 2, 0], (await fixture.Database.ReadQuarantinedPartAsync(entry, 0, Token))!.Value.ToArray());
        Assert.Empty((await fixture.Database.ReadQuarantinedPartAsync(entry, 1, Token))!.Value.ToArray());
        Assert.Null(await fixture.Database.ReadQuarantinedPartAsync(entry, 2, Token));
        Assert.Equal(At(0x200), session.AppliedPosition);

        await session.BeginAsync(Token);
        await session.ReleaseAsync(entry, Token);
        await session.CommitAsync(entry.Position, entry.Stamp, Token);
        await session.FlushAsync(Token);
        Assert.Equal([entry.Id + 1], (await fixture.Database.ReadQuarantineAsync(null, Token)).Select(e => e.Id));
        Assert.Null(await fixture.Database.ReadQuarantinedPartAsync(entry, 0, Token));
        // Its second commit does not move the progress back.
        Assert.Equal(At(0x200), session.AppliedPosition);
        Assert.Equal(At(0x200), await session.FlushAsync(Token));

        var read = await reader.ReadAllAsync();
        Assert.Equal([(Us, 0x100UL, true), (Us, 0x200UL, true), (Us, 0x100UL, false)], read.Select(t => (t.ForeignOrigin, (ulong)t.ForeignPosition, t.IsQuarantined)));
    }

    [Fact]
    public async Task Quarantine_that_is_rolled_back_leaves_nothing_and_one_taken_out_is_missed()
    {
        await using var fixture = await CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await session.BeginAsync(Token);
        await session.StoreQuarantinedPartAsync(At(0x100), 0, new byte[] { 1 }, Token);
        await session.QuarantineAsync(Entry(0x100, 1, "x"), Token);
        await session.RollbackAsync(Token);
        Assert.Empty(await fixture.Database.ReadQuarantineAsync(null, Token));

        // The same transaction again, and applied this time: no trace of the attempt.
        var entry = await PutAsideAsync(session, 0x100, "x", [1]);
        await fixture.Database.NoteRefusalAsync(entry, "23514", "again", Token);
        var noted = Assert.Single(await fixture.Database.ReadQuarantineAsync(null, Token));
        Assert.Equal(("23514", "again", entry.Attempts + 1), (noted.Code, noted.Reason, noted.Attempts));
        Assert.True(noted.LastAttempt > entry.LastAttempt);
        await session.BeginAsync(Token);
        await session.ReleaseAsync(entry, Token);
        await session.CommitAsync(entry.Position, entry.Stamp, Token);
        await session.BeginAsync(Token);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () => await session.ReleaseAsync(entry, Token));
        Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
        await session.RollbackAsync(Token);
    }

    private static async Task<QuarantinedTransaction> PutAsideAsync(IApplySession session, ulong position, string key, params byte[][] parts)
    {
        await session.BeginAsync(Token);
        for (var i = 0; i < parts.Length; i++) await session.StoreQuarantinedPartAsync(At(position), i, parts[i], Token);
        var entry = Entry(position, parts.Length, key);
        entry = entry with { Id = await session.QuarantineAsync(entry, Token) };
        await session.CommitAsync(entry.Position, entry.Stamp, Token);
        await session.FlushAsync(Token);
        return entry;
    }

    private static QuarantinedTransaction Entry(ulong position, int parts, string key)
    {
        var keys = new WrittenKeys();
        keys.Add(new ChangeTransaction
        {
            Origin = Us, Position = At(position), Stamp = s_past, Dependencies = DependencyVector.Empty, Changes = [Change.Insert(Pairs.Relation, Texts(key, null, "b"))],
        });
        return new QuarantinedTransaction(parts, DependencyVector.Empty.Advance(Ap, At(0x20)), keys)
        {
            Origin = Us, Position = At(position), Stamp = s_past, Changes = 1, Code = "AA4001", Reason = "Because.", Attempts = 3,
            FirstAttempt = s_past.ToDateTimeOffset(), LastAttempt = s_past.ToDateTimeOffset().AddSeconds(1),
        };
    }

    private static string Describe(QuarantinedTransaction e) =>
        $"{e.Id} {e.Origin} {e.Position} {e.Stamp} {e.Dependencies} {e.Parts} {e.Changes} {e.Keys.ToJson()} {e.Code} {e.Reason} {e.Attempts} {e.FirstAttempt:O} {e.LastAttempt:O}";
}
