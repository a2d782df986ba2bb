using Npgsql;
using QuickStart.Cluster;

namespace QuickStart.Writes;

/// <summary>Makes one write after the other on one node, in its database, as any client of the bank would.</summary>
internal sealed class BankTeller(BankNode node, WriteLog log, MessageBoard board)
{
    public const int Accounts = 50;
    public const int Profiles = 10;
    public const int Documents = 20;
    public const long FirstBalance = 1_000;

    private static readonly string[] s_cities = ["Athens", "Bern", "Cairo", "Delhi", "Espoo", "Fes", "Graz"];

    private readonly Random _random = new();

    /// <summary>The rows that all nodes start from, written on this one.</summary>
    public async Task SeedAsync()
    {
        for (var id = 1; id <= Accounts; id++)
        {
            await WriteAsync([new(BankTable.Accounts, $"{id}", $"{FirstBalance}")], Sql("INSERT INTO accounts VALUES ($1, $2, $3)", id, $"owner {id}", FirstBalance));
        }

        for (var id = 1; id <= Profiles; id++)
        {
            var edit = NewEdit();
            await WriteAsync([new(BankTable.Profiles, $"{id}", edit)], Sql("INSERT INTO profiles VALUES ($1, $2, $3)", id, AnyCity(), edit));
        }

        for (var id = 1; id <= Documents; id++)
        {
            await WriteAsync([new(BankTable.Documents, $"{id}", null)], Sql("INSERT INTO documents VALUES ($1, $2, '{}')", id, $"document {id}"));
        }
    }

    /// <summary>One write of the mix: half of them transfers.</summary>
    public Task WriteAnyAsync() => _random.Next(100) switch
    {
        < 50 => TransferAsync(),
        < 70 => EditProfileAsync(),
        < 80 => TagDocumentAsync(),
        < 90 => PostMessageAsync(),
        < 95 => EditMessageAsync(),
        _ => DeleteMessageAsync(),
    };

    private Task TransferAsync()
    {
        const string sql = "UPDATE accounts SET balance = balance + $2 WHERE id = $1";
        var amount = _random.Next(1, 100);
        var (from, to) = (_random.Next(1, Accounts + 1), _random.Next(1, Accounts));
        if (to >= from) to++;
        // Always the lower id first: tellers that lock in one order do not deadlock with each other.
        RowWrite[] rows = [new(BankTable.Accounts, $"{from}", $"{-amount}"), new(BankTable.Accounts, $"{to}", $"{amount}")];
        return from < to
            ? WriteAsync(rows, Sql(sql, from, -amount), Sql(sql, to, amount))
            : WriteAsync(rows, Sql(sql, to, amount), Sql(sql, from, -amount));
    }

    private Task EditProfileAsync()
    {
        var (id, edit) = (_random.Next(1, Profiles + 1), NewEdit());
        return WriteAsync([new(BankTable.Profiles, $"{id}", edit)], Sql("UPDATE profiles SET city = $2, edit = $3 WHERE id = $1", id, AnyCity(), edit));
    }

    private Task TagDocumentAsync()
    {
        var (id, tag) = (_random.Next(1, Documents + 1), NewEdit());
        return WriteAsync([new(BankTable.Documents, $"{id}", tag)], Sql("UPDATE documents SET tags = tags || $2 WHERE id = $1", id, tag));
    }

    private async Task PostMessageAsync()
    {
        var (id, edit) = (Guid.NewGuid(), NewEdit());
        await WriteAsync([new(BankTable.Messages, $"{id}", edit)], Sql("INSERT INTO messages VALUES ($1, $2, $3)", id, $"posted on {node.Name}", edit));
        board.Add(id);
    }

    private Task EditMessageAsync()
    {
        if (board.Any(_random) is not { } id) return PostMessageAsync();
        var edit = NewEdit();
        return WriteAsync([new(BankTable.Messages, $"{id}", edit)], Sql("UPDATE messages SET body = $2, edit = $3 WHERE id = $1", id, $"edited on {node.Name}", edit));
    }

    private Task DeleteMessageAsync() => board.Any(_random) is not { } id
        ? PostMessageAsync()
        : WriteAsync([new(BankTable.Messages, $"{id}", null)], Sql("DELETE FROM messages WHERE id = $1", id));

    private async Task WriteAsync(IReadOnlyList<RowWrite> rows, params IReadOnlyList<NpgsqlBatchCommand> statements)
    {
        try
        {
            await using var connection = await node.App.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            await using var batch = new NpgsqlBatch(connection, transaction);
            foreach (var statement in statements) batch.BatchCommands.Add(statement);
            batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT pg_current_xact_id()::text"));
            var xid = ulong.Parse((string)(await batch.ExecuteScalarAsync())!, provider: null);
            // A row that is not there (yet, or any more) was not written.
            if (statements.Any(s => s.RecordsAffected != 1)) return;

            // Logged BEFORE the commit: if the answer gets lost, the write may stand nevertheless.
            var write = new LoggedWrite(node.Index, xid, rows);
            log.Add(write);
            await transaction.CommitAsync();
            write.Outcome = WriteOutcome.Acknowledged;
        }
        catch (NpgsqlException e) when (e.IsTransient)
        {
            log.AddRefused();
        }
    }

    private string NewEdit() => $"{node.Name}-{Guid.NewGuid():N}";

    private string AnyCity() => s_cities[_random.Next(s_cities.Length)];

    private static NpgsqlBatchCommand Sql(string text, params object[] values)
    {
        var command = new NpgsqlBatchCommand(text);
        foreach (var value in values) command.Parameters.Add(new NpgsqlParameter { Value = value });
        return command;
    }
}
