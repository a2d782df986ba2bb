using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Parameters in text form. An untyped text is read by the column's own input function, which takes what its output function wrote,
/// for every type, without Npgsql knowing it.
/// </summary>
internal static class SqlParameters
{
    public static NpgsqlParameter Text(string? text) => new() { NpgsqlDbType = NpgsqlDbType.Unknown, Value = (object?)text ?? DBNull.Value };

    /// <summary>For an expression that leaves the type open.</summary>
    public static NpgsqlParameter TypedText(string text) => new() { NpgsqlDbType = NpgsqlDbType.Text, Value = text };

    public static NpgsqlParameter Texts(string?[] texts) => new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text, Value = texts };

    public static NpgsqlParameter Number(long number) => new() { NpgsqlDbType = NpgsqlDbType.Bigint, Value = number };

    public static NpgsqlParameter Numbers(long[] numbers) => new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint, Value = numbers };

    public static NpgsqlParameter Bytes(ReadOnlyMemory<byte> bytes) => new() { NpgsqlDbType = NpgsqlDbType.Bytea, Value = bytes };

    public static NpgsqlBatchCommand Command(string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters) command.Parameters.Add(parameter);
        return command;
    }
}
