using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Database.Postgres.PgOutput;

namespace ActiveActive.Tests.Capture;

public sealed class TransactionAssemblerTests
{
    private const uint DatabaseOid = 16_384;

    private static readonly byte[] s_table = PgOutputBytes.Relation(1, "t", 'd', "id*", "note");

    private readonly List<uint> _lookedUp = [];

    [Fact]
    public void Transaction_comes_at_its_commit_with_the_header_of_its_begin()
    {
        var seen = Assert.Single(Run(New(), PgOutputBytes.Begin(0x40, 12, 701), s_table, PgOutputBytes.Insert(1, "1", "a"), PgOutputBytes.Delete(1, 'K', "1", null), PgOutputBytes.Commit(0x40)));

        Assert.Equal((701u, PgOutputBytes.Position(0x40), new CommitTimestamp(12)), (seen.Xid, seen.Position, seen.Stamp));
        Assert.Equal([ChangeKind.Insert, ChangeKind.Delete], seen.Changes.Select(change => change.Kind));
        Assert.True(seen is { Part: 0, IsLastPart: true, ForeignOrigin.IsNone: true } && seen.Changes[1].OldIsKeyOnly);
    }

    [Fact]
    public void Parts_have_one_header_rising_numbers_and_no_empty_last_one()
    {
        var seen = Run(
            New(maxChanges: 2), PgOutputBytes.Begin(0x40, 12, 701), s_table,
            PgOutputBytes.Insert(1, "1", null), PgOutputBytes.Insert(1, "2", null), PgOutputBytes.Insert(1, "3", null), PgOutputBytes.Insert(1, "4", null),
            PgOutputBytes.Commit(0x40), PgOutputBytes.Begin(0x80), PgOutputBytes.Insert(1, "5", null), PgOutputBytes.Commit(0x80));

        Assert.Equal([(0, 2, false), (1, 2, true), (0, 1, true)], seen.Select(part => (part.Part, part.Changes.Count, part.IsLastPart)));
        Assert.All(seen.Take(2), part => Assert.Equal((701u, PgOutputBytes.Position(0x40), new CommitTimestamp(12)), (part.Xid, part.Position, part.Stamp)));
    }

    [Fact]
    public void Part_ends_early_when_its_texts_are_long()
    {
        var seen = Run(
            New(maxCharacters: 10), PgOutputBytes.Begin(1), s_table, PgOutputBytes.Insert(1, "1", "123456789"), PgOutputBytes.Insert(1, "2", null),
            PgOutputBytes.Insert(1, "3", null), PgOutputBytes.Commit(1));

        Assert.Equal([1, 2], seen.Select(part => part.Changes.Count));
    }

    [Fact]
    public void Truncate_gives_one_change_for_each_table()
    {
        var seen = Assert.Single(Run(New(), PgOutputBytes.Begin(1), s_table, PgOutputBytes.Relation(2, "u", 'd', "id*"), PgOutputBytes.Truncate(0, 1, 2), PgOutputBytes.Commit(1)));

        Assert.Equal(["Truncate public.t", "Truncate public.u"], seen.Changes.Select(change => change.ToString()));
        Assert.Equal([1u, 2u], _lookedUp);
    }

    [Fact]
    public void Applied_transaction_is_yielded_once_without_its_rows_or_a_look_up()
    {
        var assembler = New(maxChanges: 1);
        byte[][] rows = [.. Enumerable.Range(0, 100).Select(i => PgOutputBytes.Insert(1, $"{i}", new string('x', 1_000)))];
        Run(assembler, PgOutputBytes.Begin(1), PgOutputBytes.Origin(9, PostgresNames.Origin(DatabaseOid, new NodeName("us"))), s_table, rows[0]);

        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var row in rows) assembler.Next(row);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        var seen = Assert.Single(Run(assembler, PgOutputBytes.Commit(1)));
        Assert.Equal((new NodeName("us"), PgOutputBytes.Position(9)), (seen.ForeignOrigin, seen.ForeignPosition));
        Assert.True(seen is { Part: 0, IsLastPart: true, Changes.Count: 0 });
        Assert.Empty(_lookedUp);
    }

    [Fact]
    public void Applied_rows_come_where_they_are_asked_for()
    {
        var assembler = new TransactionAssembler(DatabaseOid, 1, 1_000_000, new SlotCopy(new NodeName("eu"), IsWithApplied: true));
        var seen = Run(assembler, PgOutputBytes.Begin(1), PgOutputBytes.Origin(9, PostgresNames.Origin(DatabaseOid, new NodeName("us"))), s_table,
            PgOutputBytes.Insert(1, "1", "a"), PgOutputBytes.Insert(1, "2", "b"), PgOutputBytes.Commit(1));

        Assert.Equal([(0, 1, false), (1, 1, true)], seen.Select(part => (part.Part, part.Changes.Count, part.IsLastPart)));
        Assert.All(seen, part => Assert.Equal((new NodeName("us"), PgOutputBytes.Position(9)), (part.ForeignOrigin, part.ForeignPosition)));
    }

    [Theory]
    [InlineData("pg_16399")]
    [InlineData("active_active_99999_us")]
    [InlineData("active_active_16384_NotANode")]
    public void Origin_of_another_tool_or_database_is_local(string origin)
    {
        var seen = Run(
            New(), PgOutputBytes.Begin(1), PgOutputBytes.Origin(9, origin), s_table, PgOutputBytes.Insert(1, "1", null), PgOutputBytes.Commit(1),
            PgOutputBytes.Begin(2), PgOutputBytes.Insert(1, "1", null), PgOutputBytes.Commit(2));

        Assert.All(seen, transaction => Assert.True(transaction.ForeignOrigin.IsNone && transaction.ForeignPosition == default && transaction.Changes.Count == 1));
    }

    [Fact]
    public void Local_transaction_after_an_applied_one_is_local_again()
    {
        var seen = Run(
            New(), PgOutputBytes.Begin(1), PgOutputBytes.Origin(9, PostgresNames.Origin(DatabaseOid, new NodeName("us"))), PgOutputBytes.Commit(1),
            PgOutputBytes.Begin(2), s_table, PgOutputBytes.Insert(1, "1", null), PgOutputBytes.Commit(2));

        Assert.Equal([false, true], seen.Select(transaction => transaction.ForeignOrigin.IsNone));
        Assert.Single(seen[1].Changes);
    }

    [Fact]
    public void Marker_is_a_transaction_without_changes_and_loose_messages_are_nothing()
    {
        var seen = Run(
            New(), PgOutputBytes.Message(false, 1, "x", "loose"), PgOutputBytes.Begin(1), PgOutputBytes.Message(true, 1, PostgresNames.MessagePrefix, "m"), PgOutputBytes.Commit(1));

        Assert.Empty(Assert.Single(seen).Changes);
    }

    [Fact]
    public void Unchanged_value_is_filled_from_an_old_row_that_holds_it()
    {
        var full = PgOutputBytes.Relation(2, "f", 'f', "id*", "big*", "other*");
        var changes = Assert.Single(Run(
            New(), PgOutputBytes.Begin(1), s_table, full,
            PgOutputBytes.Update(1, 'N', null, "1", "~"),
            PgOutputBytes.Update(1, 'K', ["1", null], "2", "~"),
            PgOutputBytes.Update(1, 'K', ["1", null], "~", "y"),
            PgOutputBytes.Update(2, 'O', ["1", "big", null], "1", "~", "~"),
            PgOutputBytes.Commit(1))).Changes;

        Assert.Equal([ColumnValue.Of("1"), ColumnValue.Unchanged], changes[0].NewRow!);
        Assert.Equal([ColumnValue.Of("2"), ColumnValue.Unchanged], changes[1].NewRow!);
        Assert.True(changes[1].OldIsKeyOnly);
        // An old key that came only because it is stored out of line: the key did not change.
        Assert.Equal([ColumnValue.Of("1"), ColumnValue.Of("y")], changes[2].NewRow!);
        Assert.Null(changes[2].OldRow);
        Assert.Equal([ColumnValue.Of("1"), ColumnValue.Of("big"), ColumnValue.Unchanged], changes[3].NewRow!);
        Assert.False(changes[3].OldIsKeyOnly);
    }

    [Fact]
    public void Table_is_looked_up_again_after_each_description()
    {
        Run(
            New(), PgOutputBytes.Begin(1), s_table, PgOutputBytes.Insert(1, "1", null), PgOutputBytes.Insert(1, "2", null),
            PgOutputBytes.Relation(1, "t", 'd', "id*", "note", "more"), PgOutputBytes.Insert(1, "1", null, null), PgOutputBytes.Commit(1));

        Assert.Equal([1u, 1u], _lookedUp);
    }

    public static TheoryData<string, byte[][]> OutOfPlace => new()
    {
        { "no transaction has begun", [PgOutputBytes.Commit(1)] },
        { "no transaction has begun", [PgOutputBytes.Origin(1, "o")] },
        { "no transaction has begun", [PgOutputBytes.Message(true, 1, "p", "")] },
        { "no transaction has begun", [s_table, PgOutputBytes.Insert(1, "1", null)] },
        { "has not ended", [PgOutputBytes.Begin(1), PgOutputBytes.Begin(2)] },
        { "commits at", [PgOutputBytes.Begin(1), PgOutputBytes.Commit(2)] },
        { "before its origin", [PgOutputBytes.Begin(1), s_table, PgOutputBytes.Insert(1, "1", null), PgOutputBytes.Origin(1, "o")] },
        { "not described", [PgOutputBytes.Begin(1), PgOutputBytes.Insert(1, "1", null)] },
        { "not described", [PgOutputBytes.Begin(1), s_table, PgOutputBytes.Truncate(0, 1, 2)] },
        { "3 columns", [PgOutputBytes.Begin(1), s_table, PgOutputBytes.Insert(1, "1", null, null)] },
        { "1 columns", [PgOutputBytes.Begin(1), s_table, PgOutputBytes.Update(1, 'K', ["1"], "1", null)] },
        { "unchanged", [PgOutputBytes.Begin(1), s_table, PgOutputBytes.Insert(1, "1", "~")] },
    };

    [Theory, MemberData(nameof(OutOfPlace))]
    public void Message_that_does_not_fit_where_it_stands_is_corrupt(string reason, byte[][] messages)
    {
        var fault = Assert.Throws<ReplicationException>(() => Run(New(), messages));

        Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
        Assert.Contains(reason, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Key_only_old_row_without_the_primary_key_is_refused()
    {
        var byIndex = PgOutputBytes.Relation(3, "i", 'i', "id", "code*");
        byte[][] start = [PgOutputBytes.Begin(1), byIndex];

        foreach (var change in (byte[][])[PgOutputBytes.Delete(3, 'K', null, "7"), PgOutputBytes.Update(3, 'K', [null, "7"], "1", "8")])
            Assert.Equal(ReplicationErrorKind.Misconfigured, Assert.Throws<ReplicationException>(() => Run(New(), [.. start, change])).Kind);
        Assert.Single(Run(New(), [.. start, PgOutputBytes.Update(3, 'N', null, "1", "7"), PgOutputBytes.Commit(1)]));
    }

    private static TransactionAssembler New(int maxChanges = 100, int maxCharacters = 1_000_000) => new(DatabaseOid, maxChanges, maxCharacters);

    private List<CapturedTransaction> Run(TransactionAssembler assembler, params byte[][] messages)
    {
        List<CapturedTransaction> seen = [];
        foreach (var message in messages)
        {
            AssemblyStep step;
            while ((step = assembler.Next(message)).NeedsRelation)
            {
                _lookedUp.Add(step.Unresolved.Id);
                assembler.Resolve(step.Unresolved, ByFirstColumn(step.Unresolved));
            }

            if (step.Transaction is { } transaction) seen.Add(transaction);
        }

        return seen;
    }

    // Every table of these tests has its first column as its primary key, whatever its replica identity is.
    private static Relation ByFirstColumn(RelationMessage message) =>
        new(message.Name, message.Name, [.. message.Columns.Select((column, i) => new RelationColumn(column.Name, "text", i == 0 ? 1 : 0))]);
}
