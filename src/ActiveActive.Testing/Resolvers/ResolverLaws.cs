namespace ActiveActive.Testing;

/// <summary>
/// Looks for rows with which an <see cref="IConflictResolver"/> breaks a law: a demanded one, without which nodes would end with different
/// rows, or one that is good to know of. Counter-examples are made small.
/// </summary>
public sealed class ResolverLaws
{
    private readonly Func<IConflictResolver> _create;
    private readonly IConflictResolver _resolver;
    private readonly ResolverLawOptions _options;
    private readonly ResolverQuestion _question;
    private readonly List<Row[]> _cases = [];
    private readonly RowShrinker _shrinker;

    private ResolverLaws(Func<IConflictResolver> create, Func<Random, Row> rows, ResolverLawOptions options)
    {
        _create = create;
        _resolver = create();
        _options = options;
        _question = new ResolverQuestion(options.Table, options.Key);
        var random = new Random(options.Seed);
        for (var i = 0; i < options.Cases; i++) _cases.Add(Triple(rows, random));
        _shrinker = new RowShrinker(_cases.SelectMany(c => c));
    }

    /// <summary>Checks a resolver that needs nothing to be made.</summary>
    /// <param name="rows">Makes a row of the table, from nothing but the given random numbers.</param>
    public static ResolverLawReport Check<TResolver>(Func<Random, Row> rows)
        where TResolver : IConflictResolver, new() => Check(static () => new TResolver(), rows);

    /// <summary>Checks a resolver.</summary>
    /// <param name="resolver">Makes an instance, as each node has its own.</param>
    /// <param name="rows">Makes a row of the table, from nothing but the given random numbers.</param>
    /// <param name="options">Null for the defaults.</param>
    public static ResolverLawReport Check(Func<IConflictResolver> resolver, Func<Random, Row> rows, ResolverLawOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(resolver);
        ArgumentNullException.ThrowIfNull(rows);
        options ??= new ResolverLawOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Cases, 1);
        return new ResolverLaws(resolver, rows, options).Report();
    }

    private ResolverLawReport Report() => new(_resolver.GetType().FullName!,
    [
        Law("Answers", "Every conflict gets an answer that fits the table; an exception holds the peer's stream.",
            rows => Join(rows[0], rows[1]) is { Fault: { } fault } ? [("fault", fault)] : null),
        Determinism(),
        Law("ConvergesUnderFold", "Versions are folded in the order of their stamps, so that the order of arrival makes no difference.", FoldBreak),
        Law("Commutativity", "Which of two rows was written later makes no difference.",
            rows => Differ(("this order", Join(rows[0], rows[1])), ("the other order", Join(rows[1], rows[0])))),
        Law("Associativity", "Three versions give the same row, whichever two are joined first.",
            rows => Differ(
                ("first and second first", _question.Join(_resolver, Join(rows[0], rows[1]), Answer(rows[2]), 1, 2)),
                ("second and third first", _question.Join(_resolver, Answer(rows[0]), _question.Join(_resolver, Answer(rows[1]), Answer(rows[2]), 1, 2), 0, 2)))),
        Law("Idempotence", "A row joined with itself, or with what is already in it, stays as it is.",
            rows => Differ(("the row", Answer(rows[0])), ("joined with itself", Join(rows[0], rows[0])))
                ?? Differ(("joined", Join(rows[0], rows[1])), ("joined again", _question.Join(_resolver, Join(rows[0], rows[1]), Answer(rows[1]))))),
    ]);

    /// <summary>Every case is answered once, and then again: later, in another order, elsewhere, by another instance.</summary>
    private ResolverLaw Determinism()
    {
        const string name = "Determinism";
        const string meaning = "The same rows and versions get the same answer, whenever, wherever and by whichever instance.";
        ResolverAnswer[] first = [.. _cases.Select(rows => Join(rows[0], rows[1]))];
        string? found = null;
        Again("asked again", static ask => ask(), _resolver, _question);
        Again("asked of another instance", static ask => ask(), _create(), _question);
        foreach (var (where, within) in Surroundings.All(_options.VaryTimeZone)) Again($"asked {where}", within, _create(), _question);
        return new ResolverLaw(name, meaning, found);

        void Again(string how, Action<Action> within, IConflictResolver resolver, ResolverQuestion question)
        {
            var broken = -1;
            ResolverAnswer? again = null;
            if (found is null) within(FindBroken);
            if (broken >= 0) found = Shrunk(broken, Break) ?? Text(broken, _cases[broken], [("answer", $"{first[broken]}"), (how, $"{again}")]);

            void FindBroken()
            {
                broken = _cases.Count - 1;
                while (broken >= 0 && (again = question.Join(resolver, Answer(_cases[broken][0]), Answer(_cases[broken][1]))) == first[broken]) broken--;
            }

            List<(string, string)>? Break(Row[] rows)
            {
                within(() => again = question.Join(resolver, Answer(rows[0]), Answer(rows[1])));
                return Differ(("answer", Join(rows[0], rows[1])), (how, again!));
            }
        }
    }

    /// <summary>
    /// As nodes do: each has a resolver of its own (the first one's has been asked before), keeps the versions that have arrived, and folds
    /// them anew with each one more.
    /// </summary>
    private List<(string, string)>? FoldBreak(Row[] rows)
    {
        ResolverAnswer? expected = null;
        foreach (var order in (int[][])[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
        {
            var resolver = expected is null ? _resolver : _create();
            var arrived = new SortedSet<int>();
            ResolverAnswer? folded = null;
            foreach (var place in order)
            {
                arrived.Add(place);
                folded = Fold(resolver, rows, arrived);
            }

            expected ??= folded;
            if (Differ(("arrived as 1, 2, 3", expected!), ($"arrived as {string.Join(", ", order.Select(p => p + 1))}", folded!)) is { } broken) return broken;
        }

        return null;
    }

    private ResolverAnswer Fold(IConflictResolver resolver, Row[] rows, SortedSet<int> places)
    {
        ResolverAnswer? folded = null;
        var last = 0;
        foreach (var place in places)
        {
            // Equal rows are never shown to a resolver.
            if (folded is null || folded.Row?.Equals(rows[place]) == true) folded = Answer(rows[place]);
            else folded = _question.Join(resolver, folded, Answer(rows[place]), last, place);
            last = place;
        }

        return folded!;
    }

    private ResolverLaw Law(string name, string meaning, Func<Row[], List<(string, string)>?> findBreak)
    {
        for (var i = 0; i < _cases.Count; i++)
        {
            if (findBreak(_cases[i]) is { } broken) return new ResolverLaw(name, meaning, Shrunk(i, findBreak) ?? Text(i, _cases[i], broken));
        }

        return new ResolverLaw(name, meaning, null);
    }

    /// <summary>Null where the break does not show again, as chance has it.</summary>
    private string? Shrunk(int at, Func<Row[], List<(string, string)>?> findBreak)
    {
        if (findBreak(_cases[at]) is null) return null;
        var rows = _shrinker.Shrink(_cases[at], candidate => findBreak(candidate) is not null);
        return findBreak(rows) is { } broken ? Text(at, rows, broken) : null;
    }

    private string Text(int at, Row[] rows, List<(string What, string Answer)> broken)
    {
        var lines = rows.Select((row, i) => ($"version {i + 1}", $"{Answer(row)}")).Concat(broken).Select(line => $"    {line.Item1}: {line.Item2}\n");
        return $"{string.Concat(lines)}    (seed {_options.Seed}, case {at + 1}, made small)\n";
    }

    private ResolverAnswer Join(Row earlier, Row later) => _question.Join(_resolver, Answer(earlier), Answer(later));

    private static ResolverAnswer Answer(Row row) => new(row, null);

    private static List<(string, string)>? Differ((string What, ResolverAnswer Answer) one, (string What, ResolverAnswer Answer) other) =>
        one.Answer == other.Answer ? null : [(one.What, $"{one.Answer}"), (other.What, $"{other.Answer}")];

    private Row[] Triple(Func<Random, Row> rows, Random random)
    {
        Row[] triple = [rows(random), rows(random), rows(random)];
        foreach (var column in _options.Key)
        {
            for (var i = 1; i < triple.Length; i++) triple[i] = triple[i].With(column, triple[0][column]);
        }

        return triple;
    }
}
