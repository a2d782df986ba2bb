using ActiveActive.Changes;
using ActiveActive.Database.Postgres.PgOutput;

namespace ActiveActive.Tests.Capture;

public sealed class PgOutputReaderTests
{
    public static TheoryData<byte[]> EveryKind =>
    [
        PgOutputBytes.Begin(0x10), PgOutputBytes.Commit(0x10), PgOutputBytes.Origin(5, "o"), PgOutputBytes.Relation(1, "t", 'd', "id*", "note"),
        PgOutputBytes.Type(9, "public", "mood"), PgOutputBytes.Insert(1, "1", null, "ä"), PgOutputBytes.Update(1, 'K', ["1", null], "2", "~"),
        PgOutputBytes.Update(1, 'O', ["1", "x"], "1", "~"), PgOutputBytes.Update(1, 'N', null, "1", "y"), PgOutputBytes.Delete(1, 'K', "1", null),
        PgOutputBytes.Delete(1, 'O', "1", "x"), PgOutputBytes.Truncate(3, 1, 2), PgOutputBytes.Message(true, 7, "active_active", "hello"),
    ];

    [Fact]
    public void Begin_commit_and_origin_carry_the_header()
    {
        var begin = new PgOutputReader(PgOutputBytes.Begin(0x1_0000_0002, -5, 4_000_000_000));
        var commit = new PgOutputReader(PgOutputBytes.Commit(0x20, 9));
        var origin = new PgOutputReader(PgOutputBytes.Origin(ulong.MaxValue, "active_active_5_us"));

        Assert.Equal(new BeginMessage(new(0x1_0000_0002), new CommitTimestamp(-5), 4_000_000_000), BeginMessage.Read(ref begin));
        Assert.Equal(new CommitMessage(new(0x20), new(0x50), new CommitTimestamp(9)), CommitMessage.Read(ref commit));
        Assert.Equal(new OriginMessage(new(ulong.MaxValue), "active_active_5_us"), OriginMessage.Read(ref origin));
    }

    [Fact]
    public void Relation_and_type_carry_the_schema()
    {
        var reader = new PgOutputReader(PgOutputBytes.Relation(77, "Täble", 'f', "id*", "note"));
        var relation = RelationMessage.Read(ref reader);
        var type = new PgOutputReader(PgOutputBytes.Type(9, "", "int4"));

        Assert.Equal((77u, new TableName("public", "Täble"), ReplicaIdentity.Full), (relation.Id, relation.Name, relation.Identity));
        Assert.Equal([new RelationMessageColumn("id", true, 25, -1), new RelationMessageColumn("note", false, 25, -1)], relation.Columns);
        Assert.Equal(new TypeMessage(9, "pg_catalog", "int4"), TypeMessage.Read(ref type));
    }

    [Fact]
    public void Rows_keep_null_empty_and_unchanged_apart()
    {
        var insert = new PgOutputReader(PgOutputBytes.Insert(1, "1", null, "", "€"));
        var update = new PgOutputReader(PgOutputBytes.Update(2, 'K', ["1", null], "2", "~"));
        var delete = new PgOutputReader(PgOutputBytes.Delete(3, 'O', "1", null));

        Assert.Equal([ColumnValue.Of("1"), ColumnValue.Null, ColumnValue.Of(""), ColumnValue.Of("€")], InsertMessage.Read(ref insert, new ColumnValues()).NewRow);
        var updated = UpdateMessage.Read(ref update, new ColumnValues());
        Assert.Equal((2u, true), (updated.RelationId, updated.OldIsKeyOnly));
        Assert.Equal([ColumnValue.Of("1"), ColumnValue.Null], updated.OldRow!);
        Assert.Equal([ColumnValue.Of("2"), ColumnValue.Unchanged], updated.NewRow);
        var deleted = DeleteMessage.Read(ref delete, new ColumnValues());
        Assert.Equal((3u, false), (deleted.RelationId, deleted.OldIsKeyOnly));
        Assert.Equal([ColumnValue.Of("1"), ColumnValue.Null], deleted.OldRow);
    }

    [Fact]
    public void Truncate_and_logical_message_are_read_whole()
    {
        var truncate = new PgOutputReader(PgOutputBytes.Truncate(2, 5, 6));
        var message = new PgOutputReader(PgOutputBytes.Message(false, 8, "active_active", "abc"));
        var marker = new PgOutputReader(PgOutputBytes.Message(true, 9, "active_active", LogicalMessage.MarkerContent(new CommitTimestamp(-17))));
        var another = new PgOutputReader(PgOutputBytes.Message(true, 9, "another", "17"));

        var truncated = TruncateMessage.Read(ref truncate);
        Assert.Equal((false, true), (truncated.Cascade, truncated.RestartIdentity));
        Assert.Equal([5u, 6u], truncated.RelationIds);
        var read = LogicalMessage.Read(ref message);
        Assert.Equal((false, new(8), "active_active"), (read.IsTransactional, read.Position, read.Prefix));
        Assert.Equal("abc"u8, read.Content);
        Assert.Equal(new CommitTimestamp(-17), LogicalMessage.Read(ref marker).Floor);
        Assert.Equal(CommitTimestamp.Unknown, LogicalMessage.Read(ref another).Floor);
    }

    [Theory, MemberData(nameof(EveryKind))]
    public void Cut_or_lengthened_message_is_corrupt(byte[] message)
    {
        Read(message);
        for (var length = 0; length < message.Length; length++) Assert.Equal(ReplicationErrorKind.Corrupt, FaultOf(message[..length])?.Kind);
        Assert.Contains("offset", FaultOf([.. message, 0])!.Message, StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(EveryKind))]
    public void Damaged_message_is_read_or_corrupt_and_nothing_else(byte[] message)
    {
        var random = new Random(message.Length * 31 + message[0]);
        for (var i = 0; i < 5_000; i++)
        {
            var damaged = (byte[])message.Clone();
            for (var hits = random.Next(1, 4); hits > 0; hits--) damaged[random.Next(1, damaged.Length)] = (byte)random.Next(256);
            if (FaultOf(damaged) is not { } fault) continue;
            Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
            Assert.Contains(((PgOutputKind)message[0]).ToString(), fault.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Garbage_is_corrupt_and_nothing_else()
    {
        var random = new Random(1);
        for (var i = 0; i < 20_000; i++)
        {
            var garbage = new byte[random.Next(0, 60)];
            random.NextBytes(garbage);
            if (FaultOf(garbage) is { } fault) Assert.Equal(ReplicationErrorKind.Corrupt, fault.Kind);
        }
    }

    public static TheoryData<byte[]> HugeLengths =>
    [
        PgOutputBytes.Of('I').Int32(1).Byte('N').Int16(1).Byte('t').Int32(int.MaxValue).Byte('x').Done(),
        PgOutputBytes.Of('I').Int32(1).Byte('N').Int16(1).Byte('t').Int32(uint.MaxValue).Done(),
        PgOutputBytes.Of('I').Int32(1).Byte('N').Int16(short.MaxValue).Byte('n').Done(),
        PgOutputBytes.Of('I').Int32(1).Byte('N').Int16(-1).Done(),
        PgOutputBytes.Of('T').Int32(int.MaxValue).Byte(0).Int32(1).Done(),
        PgOutputBytes.Of('T').Int32(uint.MaxValue).Byte(0).Done(),
        PgOutputBytes.Of('M').Byte(1).Int64(1).Text("p").Int32(int.MaxValue).Done(),
        PgOutputBytes.Of('R').Int32(1).Text("s").Text("t").Byte('d').Int16(short.MaxValue).Done(),
        PgOutputBytes.Of('R').Int32(1).Text("s").Text("t").Byte('d').Int16(2).Byte(0).Text("a").Int32(1).Int32(1).Byte(0).Text("a").Int32(1).Int32(1).Done(),
    ];

    [Theory, MemberData(nameof(HugeLengths))]
    public void Length_is_checked_before_anything_is_allocated_for_it(byte[] message)
    {
        FaultOf(message);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var fault = FaultOf(message);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(ReplicationErrorKind.Corrupt, fault?.Kind);
        Assert.InRange(allocated, 0, 60_000);
    }

    [Fact]
    public void Bytes_that_are_no_utf8_are_refused_without_being_quoted()
    {
        var message = PgOutputBytes.Insert(1, "abc");
        message[^1] = 0xff;

        var fault = FaultOf(message)!;

        Assert.Contains("not UTF-8", fault.Message, StringComparison.Ordinal);
        Assert.Null(fault.InnerException);
    }

    [Fact]
    public void Binary_values_and_unknown_kinds_are_refused()
    {
        Assert.Contains("text mode", FaultOf(PgOutputBytes.Of('I').Int32(1).Byte('N').Int16(1).Byte('b').Int32(1).Byte(1).Done())!.Message, StringComparison.Ordinal);
        Assert.Contains("0x53", FaultOf([(byte)'S', 0, 0, 0, 1, 1])!.Message, StringComparison.Ordinal);
        Assert.Contains("empty", FaultOf([])!.Message, StringComparison.Ordinal);
    }

    private static ReplicationException? FaultOf(byte[] message)
    {
        try
        {
            Read(message);
            return null;
        }
        catch (ReplicationException e)
        {
            return e;
        }
    }

    private static void Read(byte[] message)
    {
        var reader = new PgOutputReader(message);
        switch (reader.Kind)
        {
            case PgOutputKind.Begin: BeginMessage.Read(ref reader); break;
            case PgOutputKind.Commit: CommitMessage.Read(ref reader); break;
            case PgOutputKind.Origin: OriginMessage.Read(ref reader); break;
            case PgOutputKind.Relation: RelationMessage.Read(ref reader); break;
            case PgOutputKind.Type: TypeMessage.Read(ref reader); break;
            case PgOutputKind.Insert: InsertMessage.Read(ref reader, new ColumnValues()); break;
            case PgOutputKind.Update: UpdateMessage.Read(ref reader, new ColumnValues()); break;
            case PgOutputKind.Delete: DeleteMessage.Read(ref reader, new ColumnValues()); break;
            case PgOutputKind.Truncate: TruncateMessage.Read(ref reader); break;
            default: LogicalMessage.Read(ref reader); break;
        }
    }
}
