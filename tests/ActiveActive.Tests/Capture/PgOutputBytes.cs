using System.Buffers.Binary;
using System.Text;
using NpgsqlTypes;

namespace ActiveActive.Tests.Capture;

/// <summary>Builds pgoutput messages by hand, as the manual lays them out.</summary>
internal sealed class PgOutputBytes
{
    private readonly List<byte> _bytes = [];

    public static byte[] Begin(ulong position, long stamp = 0, uint xid = 700) => Of('B').Int64(position).Int64((ulong)stamp).Int32(xid).Done();

    public static byte[] Commit(ulong position, long stamp = 0) => Of('C').Byte(0).Int64(position).Int64(position + 48).Int64((ulong)stamp).Done();

    public static byte[] Origin(ulong position, string name) => Of('O').Int64(position).Text(name).Done();

    public static byte[] Type(uint id, string schema, string name) => Of('Y').Int32(id).Text(schema).Text(name).Done();

    /// <summary>A column name with a star is part of the replica identity.</summary>
    public static byte[] Relation(uint id, string table, char identity, params string[] columns)
    {
        var bytes = Of('R').Int32(id).Text("public").Text(table).Byte(identity).Int16(columns.Length);
        foreach (var column in columns) bytes.Byte(column.EndsWith('*') ? 1 : 0).Text(column.TrimEnd('*')).Int32(25).Int32(uint.MaxValue);
        return bytes.Done();
    }

    public static byte[] Insert(uint relation, params string?[] row) => Of('I').Int32(relation).Byte('N').Tuple(row).Done();

    public static byte[] Update(uint relation, char oldKind, string?[]? oldRow, params string?[] row)
    {
        var bytes = Of('U').Int32(relation);
        if (oldRow is not null) bytes.Byte(oldKind).Tuple(oldRow);
        return bytes.Byte('N').Tuple(row).Done();
    }

    public static byte[] Delete(uint relation, char oldKind, params string?[] row) => Of('D').Int32(relation).Byte(oldKind).Tuple(row).Done();

    public static byte[] Truncate(byte options, params uint[] relations)
    {
        var bytes = Of('T').Int32((uint)relations.Length).Byte(options);
        foreach (var relation in relations) bytes.Int32(relation);
        return bytes.Done();
    }

    public static byte[] Message(bool transactional, ulong position, string prefix, string content) =>
        Of('M').Byte(transactional ? 1 : 0).Int64(position).Text(prefix).Int32((uint)content.Length).Raw(content).Done();

    public static PgOutputBytes Of(char kind) => new PgOutputBytes().Byte(kind);

    public static NpgsqlLogSequenceNumber Position(ulong value) => new(value);

    public PgOutputBytes Byte(int value)
    {
        _bytes.Add((byte)value);
        return this;
    }

    public PgOutputBytes Int16(int value)
    {
        var bytes = new byte[2];
        BinaryPrimitives.WriteInt16BigEndian(bytes, (short)value);
        _bytes.AddRange(bytes);
        return this;
    }

    public PgOutputBytes Int32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        _bytes.AddRange(bytes);
        return this;
    }

    public PgOutputBytes Int64(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        _bytes.AddRange(bytes);
        return this;
    }

    public PgOutputBytes Text(string value) => Raw(value).Byte(0);

    public PgOutputBytes Raw(string value)
    {
        _bytes.AddRange(Encoding.UTF8.GetBytes(value));
        return this;
    }

    /// <summary>Null is NULL, and <c>~</c> an unchanged TOAST value.</summary>
    public PgOutputBytes Tuple(params string?[] row)
    {
        Int16(row.Length);
        foreach (var value in row)
        {
            if (value is null) Byte('n');
            else if (value == "~") Byte('u');
            else Byte('t').Int32((uint)Encoding.UTF8.GetByteCount(value)).Raw(value);
        }

        return this;
    }

    public byte[] Done() => [.. _bytes];
}
