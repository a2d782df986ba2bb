using Npgsql;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>
/// A seeded load on one node: inserts, updates, deletes and key changes over few keys of three tables (last update wins, delta,
/// merge), in transactions of a few statements. Errors that a user of a shared database sees (deadlock, duplicate key) end a transaction.
/// </summary>
internal sealed class RandomLoad(ClusterNode node, int seed, int keys)
{
    public const string Schema = """
        CREATE TABLE lww (id int PRIMARY KEY, a int, b text);
        CREATE TABLE delta (id int PRIMARY KEY, name text, balance bigint NOT NULL, points numeric(20,4) NOT NULL);
        CREATE TABLE tagged (id int PRIMARY KEY, tags text[] NOT NULL, note text);
        """;

    private readonly Random _random = new(seed);

    public int Committed { get; private set; }

    public static void Configure(ReplicationNodeBuilder builder) => builder
        .Replicate("public.*")
        .Replicate("public.delta", table => table.DeltaColumn("balance").DeltaColumn("points"))
        .ResolveConflictsWith<TagUnion>("public.tagged");

    public async Task RunAsync(int transactions, CancellationToken cancellationToken)
    {
        await using var connection = await node.Sql.OpenConnectionAsync(cancellationToken);
        for (var i = 0; i < transactions; i++)
        {
            try
            {
                await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
                for (var statements = _random.Next(1, 4); statements > 0; statements--)
                {
                    await using var command = new NpgsqlCommand(Statement(), connection);
                    await command.ExecuteNonQueryAsync(cancellationToken);
                }

                await transaction.CommitAsync(cancellationToken);
                Committed++;
            }
            catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected)
            {
            }
        }
    }

    private string Statement()
    {
        var id = _random.Next(keys);
        var n = _random.Next(1000);
        return _random.Next(14) switch
        {
            0 or 1 => $"INSERT INTO lww VALUES ({id}, {n}, '{node.Name}') ON CONFLICT (id) DO UPDATE SET a = excluded.a",
            2 or 3 => $"UPDATE lww SET a = {n}, b = '{node.Name}{n}' WHERE id = {id}",
            4 => $"DELETE FROM lww WHERE id = {id}",
            5 => $"UPDATE lww SET id = {_random.Next(keys)} WHERE id = {id}",
            6 => $"INSERT INTO delta VALUES ({id}, '{node.Name}', {n}, {n}.25) ON CONFLICT (id) DO UPDATE SET balance = delta.balance + excluded.balance",
            7 or 8 => $"UPDATE delta SET balance = balance + {n - 500}, points = points - {n}.5 WHERE id = {id}",
            9 => $"UPDATE delta SET name = '{node.Name}{n}', balance = balance + 1 WHERE id = {id}",
            10 => _random.Next(3) == 0 ? $"DELETE FROM delta WHERE id = {id}" : $"UPDATE delta SET name = '{n}' WHERE id = {id}",
            11 => $"INSERT INTO tagged VALUES ({id}, ARRAY['{node.Name}{n}'], NULL) ON CONFLICT (id) DO UPDATE SET tags = tagged.tags || excluded.tags",
            12 => $"UPDATE tagged SET tags = tags || ARRAY['{node.Name}{n}'], note = '{n}' WHERE id = {id}",
            _ => _random.Next(3) == 0 ? $"DELETE FROM tagged WHERE id = {id}" : $"UPDATE tagged SET tags = tags[2:] WHERE id = {id}",
        };
    }
}

/// <summary>A merge that keeps every tag of both rows.</summary>
public sealed class TagUnion : IConflictResolver
{
    public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With(
        "tags", conflict.Local.GetArray("tags")!.Union(conflict.Remote.GetArray("tags")!).Order(StringComparer.Ordinal)));
}
