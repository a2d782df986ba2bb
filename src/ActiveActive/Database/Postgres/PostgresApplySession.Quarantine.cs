using System.Text;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <content>How a transaction is put aside instead of being applied, and taken back.</content>
internal sealed partial class PostgresApplySession
{
    private static readonly string s_quarantinedSql =
        $"SELECT pg_logical_emit_message(true, '{PostgresNames.MessagePrefix}', '{Encoding.ASCII.GetString(PostgresNames.QuarantinedMessage)}')";

    private bool _quarantines;
    private bool _releases;

    public ValueTask StoreQuarantinedPartAsync(NpgsqlLogSequenceNumber position, int part, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        new(RunQuarantineAsync(position, QuarantineTable.StorePart(_origin, position, part, content), cancellationToken).AsTask());

    public async ValueTask<long> QuarantineAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken)
    {
        _quarantines = true;
        return await RunQuarantineAsync(transaction.Position, QuarantineTable.Enter(transaction), cancellationToken);
    }

    public async ValueTask ReleaseAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken)
    {
        _releases = true;
        if (await RunQuarantineAsync(transaction.Position, QuarantineTable.Release(transaction.Id), cancellationToken) == 1) return;
        throw new ReplicationException(ReplicationErrorKind.Corrupt,
            $"Transaction {_origin} {transaction.Position} is not in active_active.quarantine any more: somebody else took it out.");
    }

    /// <summary>Runs one command in the transaction and returns the number that it yields, or 0.</summary>
    private ValueTask<long> RunQuarantineAsync(NpgsqlLogSequenceNumber position, NpgsqlBatchCommand command, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return RunAsync($"writing transaction {_origin} {position} into or out of quarantine", async () =>
        {
            await using var batch = new NpgsqlBatch(_connection);
            if (TakeBegin()) batch.BatchCommands.Add(new NpgsqlBatchCommand(BeginSql));
            batch.BatchCommands.Add(command);
            return await batch.ExecuteScalarAsync(cancellationToken) is long number ? number : 0;
        });
    }
}
