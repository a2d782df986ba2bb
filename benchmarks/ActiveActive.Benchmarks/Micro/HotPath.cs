using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres.PgOutput;
using ActiveActive.Transport;
using BenchmarkDotNet.Attributes;
using NpgsqlTypes;

namespace ActiveActive.Benchmarks.Micro;

/// <summary>What a host does with each row of a transaction of 1,000 updates, from the log's messages to the plan of what is written. Times and bytes are for one row.</summary>
[MemoryDiagnoser]
public class HotPath
{
    private const int Rows = 1000;
    private const int MaxFrameBytes = 16 << 20;

    private static readonly NodeName s_origin = new("n0");
    private static readonly Relation s_relation = new(new("public", "item"), new("public", "item"), [new("id", "bigint", 1), new("quantity", "integer", 0), new("note", "text", 0)]);
    private static readonly LocalTable s_table = new(new("public", "item"), [new("id", "bigint"), new("quantity", "integer"), new("note", "text")], [0], TableSettings.Default);
    private static readonly RelationMapping s_mapping = RelationMapping.Create(s_relation, s_table, s_origin);

    private readonly TransactionEncoder _encoder = new(MaxFrameBytes);
    private readonly FrameDecoder _decoder = new(MaxFrameBytes);
    private TransactionAssembler _assembler = null!;
    private byte[][] _messages = [];
    private ChangeTransaction _transaction = null!;
    private ReadOnlySequence<byte> _frame;

    [GlobalSetup]
    public void SetUp()
    {
        byte[] relation = [.. Message('R', 1u), .. Text("public"), .. Text("item"), (byte)'d', 0, 3, .. Column("id", true), .. Column("quantity", false), .. Column("note", false)];
        _messages =
        [
            [(byte)'B', .. Number(0x40UL), .. Number(0UL), .. Number(700u)],
            .. Enumerable.Range(0, Rows).Select(row => (byte[])[.. Message('U', 1u), (byte)'N', 0, 3, .. Value(row), .. Value(row * 7), .. Value($"note of row {row}, as long as such notes are")]),
            [(byte)'C', 0, .. Number(0x40UL), .. Number(0x70UL), .. Number(0UL)],
        ];
        _assembler = new TransactionAssembler(16_384, 5000, 1 << 20);
        // The first time a table is met, its key is looked up.
        Assemble([_messages[0], relation, .. _messages[1..]]);
        var changes = Assemble(_messages)!.Changes;
        _transaction = new ChangeTransaction { Origin = s_origin, Position = new NpgsqlLogSequenceNumber(0x40), Stamp = new CommitTimestamp(1), Dependencies = DependencyVector.Empty, Changes = changes };
        var encoded = _encoder.Encode(_transaction);
        var announced = new ReadOnlySequence<byte>(encoded.Relations[0].FrameBytes);
        _decoder.TryDecode(ref announced, out _);
        _frame = new ReadOnlySequence<byte>(encoded.FrameBytes);
    }

    /// <summary>The log's messages to changes.</summary>
    [Benchmark(OperationsPerInvoke = Rows)]
    public object? Decode() => Assemble(_messages);

    /// <summary>Changes to the frame that all peers get.</summary>
    [Benchmark(OperationsPerInvoke = Rows)]
    public object Encode() => _encoder.Encode(_transaction);

    /// <summary>The frame to changes, on the peer.</summary>
    [Benchmark(OperationsPerInvoke = Rows)]
    public object? Frame()
    {
        var bytes = _frame;
        return _decoder.TryDecode(ref bytes, out var frame) ? frame : throw new InvalidOperationException("The frame is not whole.");
    }

    /// <summary>Changes to the plan of their writes.</summary>
    [Benchmark(OperationsPerInvoke = Rows)]
    public object? Plan() => SeenPlanner.TryPlan(new MappedPart([_transaction], static _ => s_mapping));

    private CapturedTransaction? Assemble(IEnumerable<byte[]> messages)
    {
        CapturedTransaction? last = null;
        foreach (var message in messages)
        {
            var step = _assembler.Next(message);
            while (step.NeedsRelation)
            {
                _assembler.Resolve(step.Unresolved, s_relation);
                step = _assembler.Next(message);
            }

            last = step.Transaction ?? last;
        }

        return last;
    }

    private static byte[] Message(char kind, uint relation) => [(byte)kind, .. Number(relation)];

    private static byte[] Column(string name, bool isKey) => [(byte)(isKey ? 1 : 0), .. Text(name), .. Number(25u), .. Number(uint.MaxValue)];

    private static byte[] Value<T>(T value)
    {
        var text = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{value}"));
        return [(byte)'t', .. Number((uint)text.Length), .. text];
    }

    private static byte[] Text(string text) => [.. Encoding.UTF8.GetBytes(text), 0];

    private static byte[] Number(uint number)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        return bytes;
    }

    private static byte[] Number(ulong number)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, number);
        return bytes;
    }
}
