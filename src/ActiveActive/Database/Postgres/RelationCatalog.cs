using ActiveActive.Changes;
using ActiveActive.Database.Postgres.PgOutput;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Completes what the log says of a table: its primary key (under REPLICA IDENTITY FULL the log marks every column), its partition root
/// and its types' names. The catalog is that of now, the log may be older, so where the log itself names the key, it is believed.
/// </summary>
internal sealed class RelationCatalog(NpgsqlDataSource dataSource)
{
    // Reads catalogs and locks no table: capture must not stand behind an ALTER TABLE.
    private const string KeySql = """
        SELECT n.nspname, r.relname,
               ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index i
                     CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                     WHERE i.indrelid = t.oid AND i.indisprimary AND k.place <= i.indnkeyatts
                     ORDER BY k.place)
        FROM pg_catalog.pg_class t
        JOIN pg_catalog.pg_class r ON r.oid = coalesce(pg_catalog.pg_partition_root(t.oid), t.oid)
        JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
        WHERE t.oid = $1
        """;

    private const string TypesSql = """
        SELECT coalesce(pg_catalog.format_type(c.type, c.modifier), '-')
        FROM ROWS FROM (unnest($1), unnest($2)) WITH ORDINALITY AS c (type, modifier, position)
        ORDER BY c.position
        """;

    public async ValueTask<Relation> ResolveAsync(RelationMessage message, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        var (root, primaryKey) = await ReadKeyAsync(connection, message, cancellationToken);
        var key = KeyOf(message, primaryKey);
        var types = await ReadTypesAsync(connection, message, cancellationToken);
        return new Relation(message.Name, root, [.. message.Columns.Select((column, i) => new RelationColumn(column.Name, types[i], key.IndexOf(column.Name) + 1))]) { Oid = message.Id };
    }

    /// <summary>The names of the key's columns, in key order.</summary>
    private static List<string> KeyOf(RelationMessage message, List<string>? primaryKey)
    {
        // With the default identity the log marks the primary key as it was when the row was written. A dropped table has no other source.
        var marked = message.Columns.Where(c => c.IsIdentity).Select(c => c.Name).ToList();
        if (primaryKey is null) return marked;
        if (message.Identity != ReplicaIdentity.Default || marked.Count == 0) return primaryKey;
        // The order only the catalog tells.
        return [.. marked.OrderBy(name => (uint)primaryKey.IndexOf(name))];
    }

    private static async Task<(TableName Root, List<string>? Key)> ReadKeyAsync(
        NpgsqlConnection connection, RelationMessage message, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(KeySql, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = message.Id, NpgsqlDbType = NpgsqlDbType.Oid });
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        return await rows.ReadAsync(cancellationToken)
            ? (new TableName(rows.GetString(0), rows.GetString(1)), rows.GetFieldValue<List<string>>(2))
            : (message.Name, null);
    }

    private static async Task<List<string>> ReadTypesAsync(NpgsqlConnection connection, RelationMessage message, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(TypesSql, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = message.Columns.Select(c => c.TypeOid).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Oid });
        command.Parameters.Add(new NpgsqlParameter { Value = message.Columns.Select(c => c.TypeModifier).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Integer });
        var types = new List<string>(message.Columns.Count);
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        while (await rows.ReadAsync(cancellationToken)) types.Add(rows.GetString(0));
        return types;
    }
}
