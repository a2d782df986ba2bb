using System.Diagnostics;
using ActiveActive.Soak.Cluster;
using Npgsql;

namespace ActiveActive.Soak.Load;

/// <summary>
/// Writes on one node as an application would: one transaction after the other, each with its row in the ledger. What the server refuses or does not answer is
/// counted, and the next one is tried.
/// </summary>
internal sealed class SoakWriter(SoakNode node, WriteCount count, int seed)
{
    public const int Accounts = 20;
    private const int Profiles = 12;
    public const int Documents = 10;
    private const int Handles = 60;
    private const int Pages = 8;

    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(200);

    private readonly Random _random = new(seed);

    /// <summary>Writes at a steady rate until told to stop; what has begun is finished.</summary>
    public async Task RunAsync(double perSecond, CancellationToken stop)
    {
        var interval = TimeSpan.FromSeconds(1 / perSecond);
        var clock = Stopwatch.StartNew();
        var due = interval * _random.NextDouble();
        while (!stop.IsCancellationRequested)
        {
            if (due > clock.Elapsed) await Task.Delay(due - clock.Elapsed, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (stop.IsCancellationRequested) return;
            if (!await WriteAsync()) await Task.Delay(s_patience, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            // One that can't keep the rate does not try to make up for it in a burst.
            due = due + interval < clock.Elapsed - TimeSpan.FromSeconds(1) ? clock.Elapsed : due + interval;
        }
    }

    /// <summary>False where the server did not answer.</summary>
    private async Task<bool> WriteAsync()
    {
        var entry = Draw();
        var isSent = false;
        try
        {
            await using var connection = await node.App.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            await using var batch = new NpgsqlBatch(connection, transaction);
            batch.BatchCommands.Add(Sql(entry.Sql, entry.Values));
            if (entry.Key is { } key) batch.BatchCommands.Add(Sql("INSERT INTO ledger VALUES ($1, $2, $3, $4, $5, $6)", entry.Id, node.Name, entry.Kind, key, (object?)entry.Content ?? DBNull.Value, entry.Amount));
            await batch.ExecuteNonQueryAsync();
            // A row that is not there was not written.
            if (batch.BatchCommands[0].RecordsAffected == 0) return true;
            isSent = true;
            await transaction.CommitAsync();
            count.Acknowledged(node.Index, entry.Id);
            return true;
        }
        catch (NpgsqlException e)
        {
            // A deadlock, a duplicate key: the application's ordinary life.
            if (e is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected })
            {
                count.Refused();
                return true;
            }

            if (isSent) count.Unknown();
            else count.Unanswered(node.Index, e);
            return false;
        }
    }

    private Entry Draw()
    {
        var id = Guid.NewGuid();
        var edit = $"{node.Name}-{id:N}";
        switch (_random.Next(100))
        {
            case < 30:
                var (account, amount) = (_random.Next(Accounts), (long)_random.Next(-500, 501));
                return new(id, "add", $"{account}", null, amount, "UPDATE accounts SET balance = balance + $2 WHERE id = $1", [account, amount]);
            case < 50:
                var profile = _random.Next(Profiles);
                return new(id, "put", $"{profile}", edit, 0, "INSERT INTO profiles VALUES ($1, 'x', $2) ON CONFLICT (id) DO UPDATE SET edit = excluded.edit", [profile, edit]);
            case < 57:
                profile = _random.Next(Profiles);
                return new(id, "put", $"{profile}", null, 0, "DELETE FROM profiles WHERE id = $1", [profile]);
            case < 67:
                var document = _random.Next(Documents);
                return new(id, "tag", $"{document}", edit, 0, "UPDATE documents SET tags = tags || $2 WHERE id = $1", [document, edit]);
            case < 77:
                return new(id, "take", $"{id}", null, 0, "INSERT INTO handles VALUES ($1, $2)", [id, _random.Next(Handles)]);
            case < 83:
                var handle = _random.Next(Handles);
                return new(id, "free", null, null, 0,
                    "WITH gone AS (DELETE FROM handles WHERE handle = $1 RETURNING id) INSERT INTO ledger SELECT $2, $3, 'free', gone.id::text FROM gone", [handle, id, node.Name]);
            case < 90:
                var page = _random.Next(Pages);
                return new(id, "edit", $"{page}", edit, 0, "UPDATE pages SET edit = $2 WHERE id = $1", [page, edit]);
            case < 93:
                page = _random.Next(Pages);
                return new(id, "edit", $"{page}", edit, 0,
                    "INSERT INTO pages SELECT $1, $2, repeat(md5($2), 200) ON CONFLICT (id) DO UPDATE SET edit = excluded.edit, body = excluded.body", [page, edit]);
            case < 94:
                page = _random.Next(Pages);
                return new(id, "edit", $"{page}", null, 0, "DELETE FROM pages WHERE id = $1", [page]);
            default:
                // Rarely more than goes in one part.
                var rows = _random.Next(60) == 0 ? 8_000 : _random.Next(2, 120);
                return new(id, "bulk", $"{id}", null, rows, "INSERT INTO bulk SELECT $1, n, repeat('x', 100) FROM generate_series(1, $2) n", [id, rows]);
        }
    }

    private static NpgsqlBatchCommand Sql(string text, params object[] values)
    {
        var command = new NpgsqlBatchCommand(text);
        foreach (var value in values) command.Parameters.Add(new NpgsqlParameter { Value = value });
        return command;
    }

    /// <summary>A transaction to be: its row in the ledger, and what else it does. Without a key, its SQL makes that row.</summary>
    private sealed record Entry(Guid Id, string Kind, string? Key, string? Content, long Amount, string Sql, object[] Values);
}
