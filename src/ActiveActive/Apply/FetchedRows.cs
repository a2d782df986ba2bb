using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>Asks a transaction's origin for rows, in one request; the answers come in the order asked.</summary>
/// <exception cref="ReplicationException">Transient: the origin can't be reached. ApplyRefused: it can't answer, and the message says why.</exception>
internal delegate ValueTask<IReadOnlyList<FetchedRow>> FetchRows(ChangeTransaction transaction, IReadOnlyList<RowToFetch> rows, CancellationToken cancellationToken);

/// <summary>
/// What an origin has answered about rows of its transactions. An answer about a later write of the origin is kept until that write's
/// turn comes: for what lies between, it tells that the values are gone, and for that write it holds them. So a row that its origin writes all
/// the time is whole again after one round trip's worth of its log.
/// </summary>
internal sealed class FetchedRows(FetchRows fetch)
{
    private readonly Dictionary<RowKey, (NpgsqlLogSequenceNumber AskedAt, FetchedRow Answer)> _answers = [];

    /// <summary>What is known of a key for the origin's transaction at a position; null where the origin must be asked.</summary>
    public FetchedRow? Find(RowKey key, NpgsqlLogSequenceNumber position)
    {
        if (!_answers.TryGetValue(key, out var known)) return null;
        if (known.AskedAt == position) return known.Answer;
        return known.Answer.Position > position || (known.Answer.Position == position && known.Answer.Row is not null) ? known.Answer : null;
    }

    public async ValueTask FetchAsync(ChangeTransaction transaction, IReadOnlyList<(RowKey Key, RowToFetch Row)> rows, CancellationToken cancellationToken)
    {
        var answers = await fetch(transaction, [.. rows.Select(r => r.Row)], cancellationToken);
        for (var i = 0; i < rows.Count; i++) _answers[rows[i].Key] = (transaction.Position, answers[i]);
    }

    /// <summary>Drops what only transactions up to a position, now committed, could need.</summary>
    public void Forget(NpgsqlLogSequenceNumber committed)
    {
        if (_answers.Count == 0) return;
        foreach (var (key, (_, answer)) in _answers)
        {
            if (answer.Position <= committed) _answers.Remove(key);
        }
    }
}
