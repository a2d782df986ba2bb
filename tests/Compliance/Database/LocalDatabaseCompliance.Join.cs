using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    [Trait("Story", "19")]
    public async Task Snapshot_holds_what_was_committed_before_its_position_and_nothing_else()
    {
        await using var fixture = await CreateAsync();
        await using var reader = await ReadFromCheckpointAsync(fixture);
        await fixture.RunLocalAsync(Items.Insert("1", "local", null));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("2", "past", null)));
        await ApplyAsync(session, 0x200, s_future, Items, t => new InsertRow(t, Texts("3", "future", null)));

        await using var snapshot = await fixture.Database.OpenSnapshotAsync(Token);
        await fixture.RunLocalAsync(Items.Insert("4", "later", null), Items.Update(Items.KeyOf("1"), ("name", "changed")));
        await ApplyAsync(session, 0x300, s_past, Items, t => new DeleteRow(t, Items.KeyOf("2")));

        Assert.Equal(["1|local|∅", "2|past|∅", "3|future|∅"], await CopiedAsync(snapshot, Items));
        // Two may read at once, and each reads all.
        Assert.Equal(["1|local|∅", "2|past|∅", "3|future|∅"], await CopiedAsync(snapshot, Items));
        Assert.Equal([true, true, true, false, false], (await reader.ReadAllAsync()).Select(t => t.Position < snapshot.Position));
    }

    [Fact]
    public async Task Snapshot_names_every_replicated_table()
    {
        await using var fixture = await CreateAsync();
        await using var snapshot = await fixture.Database.OpenSnapshotAsync(Token);
        var tables = await snapshot.ReadTablesAsync(Token);
        Assert.Equal(All.Select(t => t.FullName).Order(), tables.Select(t => t.Table.Name).Where(n => n.Schema == "public").Order());
        Assert.All(tables, t => Assert.True(t.Rows >= 0 && t.Bytes >= 0));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Copied_rows_have_the_same_values_whatever_these_are()
    {
        await using var donor = await CreateAsync();
        await using var joiner = await CreateAsync(isJoining: true);
        string?[] awkward = [null, "", "\\N", "\\.", "a\tb\nc\rd\\e", "'\"{}", "Grüße, 世界 😀", " blank ", new string('x', 300_000)];
        await donor.RunLocalAsync([.. awkward.Select((value, i) => Items.Insert($"{i}", value, awkward[^(i + 1)]))]);
        await donor.RunLocalAsync([.. awkward.Where(v => v is { Length: < 1000 }).Select(value => Pairs.Insert(value, "v", "b"))]);

        await joiner.Database.BeginJoinAsync(Token);
        await CopyAsync(donor, joiner, Items);
        await CopyAsync(donor, joiner, Pairs);

        Assert.Equal(await donor.ReadRowsAsync(Items), await joiner.ReadRowsAsync(Items));
        Assert.Equal(await donor.ReadRowsAsync(Pairs), await joiner.ReadRowsAsync(Pairs));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Rows_of_transactions_that_somebody_may_not_have_seen_are_told()
    {
        await using var fixture = await CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "stable", null));
        var oldest = await HorizonAsync(fixture);
        await fixture.RunLocalAsync(Items.Insert("2", "local", null));
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await ApplyAsync(session, 0x100, s_past, Items, t => new InsertRow(t, Texts("3", "applied", null)));
        await using var snapshot = await fixture.Database.OpenSnapshotAsync(Token);
        var state = await LookAsync(session, Items, Items.KeyOf("2"));

        var keys = await ReadKeysAsync(snapshot, Items, oldest);

        Assert.Equal([Items.KeyOf("2"), Items.KeyOf("3")], keys.Select(k => k.Key));
        Assert.Equal((state.Row!.Xid, state.Row.Stamp, Node), (keys[0].Xid, keys[0].Stamp, keys[0].Origin));
        Assert.Equal((s_past, Us), (keys[1].Stamp, keys[1].Origin));
        Assert.All(keys, k => Assert.True(k.Override is null && k.Siblings.Count == 0 && k.Loser is null));
        Assert.Empty(await ReadKeysAsync(snapshot, Items, 0));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task What_stands_beside_rows_is_copied_with_them()
    {
        await using var donor = await CreateAsync();
        await using var joiner = await CreateAsync(isJoining: true);
        var (older, newer) = (Version(s_past, Ap, 0x10), Version(s_future, Us, 0x20));
        Sibling[] siblings = [new(older, Texts("1", "{a}", null)), new(newer, null)];
        await using (var session = await donor.Database.OpenApplySessionAsync(Us, Token))
        {
            await ApplyAsync(session, 0x100, s_past, Items,
                t => new InsertRow(t, Texts("1", "overridden", null)), t => new SetOverride(t, Items.KeyOf("1"), older),
                t => new InsertRow(t, Texts("2", "kept", null)), t => new SetOverride(t, Items.KeyOf("2"), newer) { IsKept = true },
                t => new InsertRow(t, Texts("3", "void", null)), t => new SetOverride(t, Items.KeyOf("3"), older));
            await ApplyAsync(session, 0x180, s_past, Items, t => new UpdateRow(t, Items.KeyOf("3"), Texts("3", "written again", null)));
            await ApplyAsync(session, 0x200, s_past, Profiles,
                t => new InsertRow(t, Texts("1", "{a}", null)), t => new SetSiblings(t, Profiles.KeyOf("1"), siblings), t => new SetOverride(t, Profiles.KeyOf("1"), older), t => new SetSiblings(t, Profiles.KeyOf("2"), siblings));
            await ApplyAsync(session, 0x300, s_past, Members, t => new InsertRow(t, Texts("1", "x", null, null)),
                t => new SetLoser(t, Members.KeyOf("2"), new UniqueLoser(older, [.. Texts("2", "x", null), ColumnValue.Unchanged]), Members.KeyOf("1")));
        }

        await donor.Database.SaveTombstonesAsync([new(Items.FullName, Items.KeyOf("9").ToText(), newer), new(Items.FullName, "", older)], Token);
        await donor.Database.SaveTombstonesAsync([.. Enumerable.Range(1000, 300).Select(i => new Tombstone(Items.FullName, Items.KeyOf($"{i}").ToText(), newer))], Token);
        await using (var snapshot = await donor.Database.OpenSnapshotAsync(Token))
        {
            var tombstones = new List<Tombstone>();
            await foreach (var tombstone in snapshot.ReadTombstonesAsync(await FindAsync(snapshot, Items), Token)) tombstones.Add(tombstone);
            Assert.Equal((302, ""), (tombstones.Count, tombstones[0].Key));
            Assert.Equal([Items.KeyOf("1"), Items.KeyOf("2")], (await ReadKeysAsync(snapshot, Items, 0)).Select(k => k.Key));
            // One entry for a key, with all of it.
            Assert.Equal([(true, 2), (false, 2)], (await ReadKeysAsync(snapshot, Profiles, 0)).Select(k => (k.Override is not null, k.Siblings.Count)));
            Assert.Equal(Members.KeyOf("1"), Assert.Single(await ReadKeysAsync(snapshot, Members, 0)).Winner);
        }

        await joiner.Database.BeginJoinAsync(Token);
        foreach (var table in (ComplianceTable[])[Items, Profiles, Members]) await CopyAsync(donor, joiner, table);
        await EndJoinAsync(joiner);

        await using var read = await joiner.Database.OpenApplySessionAsync(Us, Token);
        var one = await LookAsync(read, Items, Items.KeyOf("1"));
        Assert.Equal((older, false, older), (one.Override, one.IsOverrideKept, one.TableTombstone));
        var two = await LookAsync(read, Items, Items.KeyOf("2"));
        Assert.Equal((newer, true), (two.Override, two.IsOverrideKept));
        Assert.Null((await LookAsync(read, Items, Items.KeyOf("3"))).Override);
        Assert.Equal(newer, (await LookAsync(read, Items, Items.KeyOf("9"))).Tombstone);
        Assert.Equal(newer, (await LookAsync(read, Items, Items.KeyOf("1007"))).Tombstone);
        AssertSame(siblings, (await LookAsync(read, Profiles, Profiles.KeyOf("1"))).Siblings);
        Assert.Equal(older, (await LookAsync(read, Profiles, Profiles.KeyOf("1"))).Override);
        AssertSame(siblings, (await LookAsync(read, Profiles, Profiles.KeyOf("2"))).Siblings);
        var hidden = (await LookAsync(read, Members, Members.KeyOf("2"))).Hidden;
        Assert.Equal(older, hidden!.Version);
        Assert.Equal(["2", "x", null, "(unchanged)"], TextsOf(hidden.Values));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Local_writers_are_kept_out_until_the_join_has_ended()
    {
        await using var joiner = await CreateAsync(isJoining: true);
        await joiner.Database.BeginJoinAsync(Token);

        var refused = await Record.ExceptionAsync(() => joiner.RunLocalAsync(Items.Insert("1", "too early", null)).AsTask());
        Assert.NotNull(refused);
        Assert.NotNull(await Record.ExceptionAsync(() => joiner.RunLocalAsync(Items.Truncate()).AsTask()));
        Assert.Null(await joiner.Database.FindCheckpointAsync(Token));
        await EndJoinAsync(joiner);

        await joiner.RunLocalAsync(Items.Insert("1", "now", null));
        Assert.Equal(["1|now|∅"], await joiner.ReadRowsAsync(Items));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Join_that_broke_off_begins_anew_with_empty_tables()
    {
        await using var joiner = await CreateAsync(isJoining: true);
        var version = Version(s_past, Us, 0x10);
        await joiner.Database.BeginJoinAsync(Token);
        await CopyAsync(joiner, Items, "1\tone\t\\N\n2\ttwo\t\\N\n",
            t => new SetOverride(t, Items.KeyOf("1"), version), t => new SetTombstone(t, Items.KeyOf("3"), version), t => new SetTombstone(t, new RowKey(Items.FullName, []), version));
        await CopyAsync(joiner, Owners, "1\n");
        await CopyAsync(joiner, Pets, "1\t1\t1\n");

        await joiner.Database.BeginJoinAsync(Token);

        Assert.Empty(await joiner.ReadRowsAsync(Items));
        Assert.Empty(await joiner.ReadRowsAsync(Pets));
        await CopyAsync(joiner, Items, "1\tagain\t\\N\n");
        await EndJoinAsync(joiner);
        Assert.Equal(["1|again|∅"], await joiner.ReadRowsAsync(Items));
        await using var session = await joiner.Database.OpenApplySessionAsync(Us, Token);
        Assert.Null((await LookAsync(session, Items, Items.KeyOf("1"))).Override);
        Assert.Null((await LookAsync(session, Items, Items.KeyOf("3"))).Tombstone);
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Database_with_rows_of_its_own_does_not_join()
    {
        await using var joiner = await CreateAsync(isJoining: true);
        await joiner.RunLocalAsync(Items.Insert("1", "mine", null));

        var refused = await FailsAsync(ReplicationErrorKind.Misconfigured, () => joiner.Database.BeginJoinAsync(Token).AsTask());

        Assert.Contains(Items.FullName.ToString(), refused.Message, StringComparison.Ordinal);
        Assert.Equal(["1|mine|∅"], await joiner.ReadRowsAsync(Items));
        // Nobody is kept out of a database that does not join.
        await joiner.RunLocalAsync(Items.Insert("2", "mine, too", null));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Node_that_has_joined_goes_on_behind_what_it_copied_and_publishes_nothing_of_it()
    {
        await using var joiner = await CreateAsync(isJoining: true);
        var copied = DependencyVector.Empty.Advance(Us, At(0x1000)).Advance(new NodeName("nobodys"), At(0x30));
        Member[] members = [new(Ap, MemberState.Joining), new(Node, MemberState.Joined), new(Us, MemberState.Joined)];
        await joiner.Database.BeginJoinAsync(Token);
        await CopyAsync(joiner, Items, "1\tone\t\\N\n", t => new SetOverride(t, Items.KeyOf("1"), Version(s_past, Us, 0x900)));
        await joiner.Database.EndJoinAsync(copied, s_future, members, Token);

        var checkpoint = (await joiner.Database.FindCheckpointAsync(Token))!;
        Assert.Equal((copied, s_future, default), (checkpoint.Applied, checkpoint.GreatestStamp, checkpoint.LastPublished));
        Assert.Equal(members, await joiner.Database.ReadMembersAsync(Token));
        await using (var us = await joiner.Database.OpenApplySessionAsync(Us, Token)) Assert.Equal(At(0x1000), us.AppliedPosition);
        await using (var ap = await joiner.Database.OpenApplySessionAsync(Ap, Token)) Assert.Equal(default, ap.AppliedPosition);
        await joiner.RunLocalAsync(Items.Insert("2", "two", null));
        await using var reader = await ReadFromCheckpointAsync(joiner);
        Assert.Equal("2", Assert.Single(Assert.Single(await reader.ReadAllAsync()).Changes).NewRow![0].Text);
    }

    [Fact]
    public async Task Row_that_does_not_fit_refuses_the_copy()
    {
        await using var joiner = await CreateAsync(isJoining: true);
        await joiner.Database.BeginJoinAsync(Token);
        await FailsAsync(ReplicationErrorKind.ApplyRefused, () => CopyAsync(joiner, Items, "1\tone\t\\N\n1\tagain\t\\N\n"));
        Assert.Empty(await joiner.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Members_go_through_their_states_in_order()
    {
        await using var fixture = await CreateAsync();
        Assert.Empty(await fixture.Database.ReadMembersAsync(Token));
        await fixture.Database.SaveMembersAsync([new(Node, MemberState.Joined), new(Us, MemberState.Joined), new(Ap, MemberState.Joining)], Token);
        // The first of them is an earlier word that comes late.
        await fixture.Database.SaveMembersAsync([new(Us, MemberState.Joining), new(Ap, MemberState.Joined)], Token);
        Assert.Equal([new(Ap, MemberState.Joined), new(Node, MemberState.Joined), new(Us, MemberState.Joined)], await fixture.Database.ReadMembersAsync(Token));

        var parting = new Member(Us, MemberState.Parting) { Reason = "as a test asked" };
        var parted = parting with { State = MemberState.Parted, Reach = new(5) };
        await fixture.Database.SaveMembersAsync([parted], Token);
        await fixture.Database.SaveMembersAsync([parting], Token);
        await fixture.Database.SaveMembersAsync([new(Us, MemberState.Joined)], Token);
        Assert.Contains(parting, await fixture.Database.ReadMembersAsync(Token));
        await fixture.Database.SaveMembersAsync([parted], Token);
        await fixture.Database.SaveMembersAsync([parting], Token);
        Assert.Contains(parted, await fixture.Database.ReadMembersAsync(Token));
        await fixture.Database.SaveMembersAsync([new(Us, MemberState.Joining)], Token);
        Assert.Contains(new(Us, MemberState.Joining), await fixture.Database.ReadMembersAsync(Token));
    }

    private static async ValueTask EndJoinAsync(LocalDatabaseFixture joiner) =>
        await joiner.Database.EndJoinAsync(DependencyVector.Empty, CommitTimestamp.Unknown, [new Member(Node, MemberState.Joined), new Member(Us, MemberState.Joined)], Token);

    private static async Task<SnapshotTable> FindAsync(IDataSnapshot snapshot, ComplianceTable table) =>
        Assert.Single(await snapshot.ReadTablesAsync(Token), t => t.Table.Name == table.FullName);

    /// <summary>In key order.</summary>
    private static async Task<List<SnapshotKey>> ReadKeysAsync(IDataSnapshot snapshot, ComplianceTable table, uint oldest)
    {
        var keys = new List<SnapshotKey>();
        await foreach (var key in snapshot.ReadKeysAsync(await FindAsync(snapshot, table), oldest, Token)) keys.Add(key);
        return [.. keys.OrderBy(k => k.Key.ToText(), StringComparer.Ordinal)];
    }

    /// <summary>The rows of a snapshot, whose values need no escape.</summary>
    private static async Task<IEnumerable<string>> CopiedAsync(IDataSnapshot snapshot, ComplianceTable table)
    {
        var bytes = new List<byte>();
        await foreach (var chunk in snapshot.ReadRowsAsync(await FindAsync(snapshot, table), Token)) bytes.AddRange(chunk.Span);
        return System.Text.Encoding.UTF8.GetString([.. bytes]).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Replace("\\N", "∅", StringComparison.Ordinal).Replace('\t', '|')).Order(StringComparer.Ordinal);
    }

    /// <summary>Copies a table with what stands beside its rows, from a snapshot of its own.</summary>
    private static async Task CopyAsync(LocalDatabaseFixture donor, LocalDatabaseFixture joiner, ComplianceTable table)
    {
        await using var snapshot = await donor.Database.OpenSnapshotAsync(Token);
        var source = await FindAsync(snapshot, table);
        await using var session = await joiner.Database.OpenCopySessionAsync(Token);
        var target = (await session.FindTableAsync(table.Relation, Token))!;
        await session.BeginAsync(Token);
        await session.CopyAsync(target, [.. source.Table.Columns.Select(c => c.Name)], snapshot.ReadRowsAsync(source, Token), Token);
        var plan = new ApplyPlan { IsInOrder = true };
        await foreach (var key in snapshot.ReadKeysAsync(source, 0, Token))
        {
            if (key.Override is { } version) plan.Writes.Add(new SetOverride(target, key.Key, version) { IsKept = key.IsOverrideKept });
            if (key.Siblings.Count > 0) plan.Writes.Add(new SetSiblings(target, key.Key, key.Siblings));
            if (key.Loser is { } loser) plan.Writes.Add(new SetLoser(target, key.Key, loser, key.Winner));
        }

        await foreach (var tombstone in snapshot.ReadTombstonesAsync(source, Token))
        {
            plan.Writes.Add(new SetTombstone(target, new RowKey(table.FullName, tombstone.Key.Length == 0 ? [] : KeyText.Read(tombstone.Key)), tombstone.Version));
        }

        await session.ExecuteAsync(plan, Token);
        await session.CommitAsync(Token);
    }

    private static async Task CopyAsync(LocalDatabaseFixture joiner, ComplianceTable table, string text, params Func<LocalTable, PlannedWrite>[] notes)
    {
        await using var session = await joiner.Database.OpenCopySessionAsync(Token);
        var target = (await session.FindTableAsync(table.Relation, Token))!;
        await session.BeginAsync(Token);
        Assert.Equal(text.Count(c => c == '\n'), await session.CopyAsync(target, [.. table.Columns.Select(c => c.Name)], ChunksOf(text), Token));
        var plan = new ApplyPlan { IsInOrder = true };
        foreach (var note in notes) plan.Writes.Add(note(target));
        await session.ExecuteAsync(plan, Token);
        await session.CommitAsync(Token);
    }

    /// <summary>Cut anywhere.</summary>
    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> ChunksOf(string text)
    {
        foreach (var chunk in System.Text.Encoding.UTF8.GetBytes(text).Chunk(5))
        {
            await Task.CompletedTask;
            yield return chunk;
        }
    }
}
