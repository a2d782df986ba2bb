using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    [Trait("Story", "41")]
    public async Task What_was_received_is_read_again_as_it_came_whatever_was_written()
    {
        await using var fixture = await CreateAsync();
        var start = (await fixture.Database.FindCheckpointAsync(Token))!.Position;
        await using (var session = await fixture.Database.OpenApplySessionAsync(Us, Token))
        {
            // Nothing is written of the first, one row of the second; the third is rolled back, then comes again.
            await KeepAsync(session, [], Received(0x100, 0, isLast: true, s_body));
            await KeepAsync(session, [t => new InsertRow(t, Texts("2", "b", null))], Received(0x200, 0, isLast: false, "b"), Received(0x200, 1, isLast: true, "c"));
            await session.BeginAsync(Token);
            await session.KeepReceivedAsync(Received(0x300, 0, isLast: false, "lost"), Token);
            await session.KeepReceivedAsync(Received(0x300, 1, isLast: true, "lost"), Token);
            await session.RollbackAsync(Token);
            await KeepAsync(session, [t => new InsertRow(t, Texts("3", "d", null))], Received(0x300, 0, isLast: true, "d"));
            await session.FlushAsync(Token);
        }

        await using (var other = await fixture.Database.OpenApplySessionAsync(Ap, Token))
        {
            await KeepAsync(other, [], Received(0x100, 0, isLast: true, "another origin's"));
            await other.FlushAsync(Token);
        }

        await using var reader = await ChangeReader.OpenAsync(fixture.Database, start, new SlotCopy(Ap, Us), Token);
        var read = (await reader.ReadAllAsync()).Where(t => t.ForeignOrigin == Us).ToList();
        Assert.Equal(
            [Describe(Received(0x100, 0, true, s_body)), "committed 0/100", Describe(Received(0x200, 0, false, "b")), Describe(Received(0x200, 1, true, "c")), "committed 0/200", Describe(Received(0x300, 0, true, "d")), "committed 0/300"],
            read.Select(t => t.Received is { } part ? Describe(part) : t.IsLastPart ? $"committed {t.ForeignPosition}" : "?"));

        // What is kept per relation further on is kept once.
        Assert.Single(read.Where(t => t.Received is not null).SelectMany(t => t.Received!.Changes).Select(c => c.Relation).Distinct());
        await using var own = await ReadFromCheckpointAsync(fixture);
        Assert.All(await own.ReadAllAsync(), t => Assert.True(t is { Received: null, IsLastPart: true }));
    }

    [Fact]
    [Trait("Story", "30")]
    public async Task What_is_published_comes_as_a_local_transaction_in_its_place_of_the_log()
    {
        await using var fixture = await CreateAsync();
        var told = Change.Superseded(s_items, Texts("7", null, null), new RowVersion(s_past, Us, At(0x300)), [Us, Ap]);
        await using var reader = await ReadFromCheckpointAsync(fixture);
        var before = await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token);
        await fixture.Database.PublishAsync([told, told], Token);
        var read = Assert.Single(await reader.ReadAllAsync());
        Assert.True(read.ForeignOrigin.IsNone && read.Position > before.Position && read.Stamp.IsKnown && read.IsLastPart);
        Assert.Equal(2, read.Changes.Count);
        Assert.All(read.Changes, c => Assert.Equal($"Superseded public.{Items.Name} 7 {told.Version} us,ap", $"{c} {c.OldRow![0].Text} {c.Version} {string.Join(',', c.Nodes)}"));
    }

    private static async Task KeepAsync(IApplySession session, Func<LocalTable, PlannedWrite>[] writes, params ChangeTransaction[] parts)
    {
        await session.BeginAsync(Token);
        await ExecuteAsync(session, Items, writes);
        foreach (var part in parts) await session.KeepReceivedAsync(part, Token);
        await session.CommitAsync(parts[0].Position, parts[0].Stamp, Token);
    }

    private static readonly Relation s_items = Items.Relation;

    private static ChangeTransaction Received(ulong position, int part, bool isLast, string name) => new()
    {
        Origin = Us,
        Position = At(position),
        Stamp = s_past,
        Dependencies = DependencyVector.Of([new(Ap, At(7)), new(Node, At(9))]),
        Part = part,
        IsLastPart = isLast,
        Changes = [Change.Insert(s_items, Texts("1", name, null)), Change.Delete(s_items, Texts("5", null, null), true)],
    };

    private static string Describe(ChangeTransaction t) =>
        $"{t} {t.Stamp} {t.Dependencies} {t.IsLastPart} {string.Join("; ", t.Changes.Select(c => $"{c} {c.OldIsKeyOnly} {string.Join('|', TextsOf(c.OldRow ?? []))} > {string.Join('|', TextsOf(c.NewRow ?? []))}"))}";
}
