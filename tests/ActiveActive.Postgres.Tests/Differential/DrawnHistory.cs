using System.Globalization;

namespace ActiveActive.Postgres.Tests.Differential;

internal enum StatementKind
{
    /// <summary>Without effect where the key is taken.</summary>
    Insert,
    Update,
    Delete,

    /// <summary>The row gets another key; without effect where that is taken.</summary>
    Move,
    Truncate,
}

/// <summary>One statement. Its effect depends on the rows that stand, in both worlds alike.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Table">One of <see cref="DrawnHistory.Tables"/>.</param>
/// <param name="Key">The row.</param>
/// <param name="Target">Where a move ends.</param>
/// <param name="Value">What <c>v</c> becomes; null where an update leaves it.</param>
/// <param name="Amount">What <c>n</c> becomes, or by which it changes where it is a delta column.</param>
internal sealed record DrawnStatement(StatementKind Kind, string Table, int Key, int Target, string? Value, int Amount)
{
    public string KeyText => Key.ToString(CultureInfo.InvariantCulture);

    public override string ToString() => $"{Kind} {Table}/{Key}{(Kind == StatementKind.Move ? $" to {Target}" : "")}{(Value is null ? "" : $" v={Value.TrimEnd('.')}")} n={Amount}";
}

/// <summary>A local transaction of one node; its name is its number in the history.</summary>
internal sealed record DrawnTransaction(int Number, int Node, IReadOnlyList<DrawnStatement> Statements);

/// <summary>
/// Transactions that are made while nobody receives anything, in this order; then each node takes what the others made, in an order of its own. So what a writer had
/// seen, which stamp is later and what arrives first are the same wherever the history runs.
/// </summary>
/// <param name="Transactions">In the order of their stamps.</param>
/// <param name="HandOver">Receiver and sender.</param>
internal sealed record DrawnRound(IReadOnlyList<DrawnTransaction> Transactions, IReadOnlyList<(int To, int From)> HandOver);

/// <summary>A history drawn from a seed.</summary>
internal static class DrawnHistory
{
    public const string Register = "register";
    public const string Account = "account";
    public const string Merged = "merged";
    public const int Nodes = 3;

    private const int Keys = 3;
    private const int Rounds = 4;
    private const int TransactionsPerRound = 10;

    public static readonly string[] Tables = [Register, Account, Merged];

    public static List<DrawnRound> Draw(int seed)
    {
#pragma warning disable CA5394 // A history to be repeated, nothing to be kept secret.
        var random = new Random(seed);
        var number = 0;
        var rounds = new List<DrawnRound>();
        for (var round = 0; round < Rounds; round++)
        {
            var transactions = new List<DrawnTransaction>();
            for (var i = 0; i < TransactionsPerRound; i++)
            {
                var node = random.Next(Nodes);
                transactions.Add(new(++number, node, [.. Enumerable.Range(0, random.Next(1, 4)).Select(s => Statement(random, $"{(char)('a' + node)}{number}.{s}"))]));
            }

            var pairs = Enumerable.Range(0, Nodes).SelectMany(to => Enumerable.Range(0, Nodes).Where(from => from != to).Select(from => (to, from))).ToArray();
            random.Shuffle(pairs);
            rounds.Add(new(transactions, pairs));
        }

        return rounds;
    }

    private static DrawnStatement Statement(Random random, string name)
    {
        var table = Tables[random.Next(Tables.Length)];
        var kind = random.Next(100) switch
        {
            < 30 => StatementKind.Insert,
            < 70 => StatementKind.Update,
            < 88 => StatementKind.Delete,
            < 97 => StatementKind.Move,
            // What a truncate does to merged rows is a limit that README names.
            _ => table == Merged ? StatementKind.Update : StatementKind.Truncate,
        };
        // Large enough to be stored apart, so that an update that leaves it alone does not log it.
        var value = random.Next(4) == 0 ? "same" : name + new string('.', 3000);
        return new(kind, table, 1 + random.Next(Keys), 1 + random.Next(Keys), kind == StatementKind.Update && random.Next(3) == 0 ? null : value, random.Next(1, 100));
    }
#pragma warning restore CA5394
}

/// <summary>Shows what it was asked, in a text that does not grow without end.</summary>
internal sealed class Chain : IConflictResolver
{
    public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With("v", Shorten($"({conflict.Local["v"]}>{conflict.Remote["v"]})")));

    private static string Shorten(string text) => text.Replace(".", "", StringComparison.Ordinal) is var plain && plain.Length > 60 ? plain[^60..] : plain;
}
