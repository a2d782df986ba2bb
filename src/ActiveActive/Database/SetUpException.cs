namespace ActiveActive;

/// <summary>One reason why a database can't be a node, and what mends it.</summary>
/// <param name="Code">A stable code, for example <c>AA1001</c>; the anchor in docs/ERRORS.md.</param>
/// <param name="Problem">What is wrong, and where.</param>
/// <param name="Fix">The setting or SQL that mends it.</param>
public sealed record SetUpProblem(string Code, string Problem, string Fix)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Code}: {Problem} Fix: {Fix}";
}

/// <summary>The database is not fit to be a node: all problems at once. Nothing was changed.</summary>
public sealed class SetUpException : ReplicationException
{
    /// <summary>Creates the exception.</summary>
    public SetUpException(string node, IReadOnlyList<SetUpProblem> problems)
        : base(ReplicationErrorKind.Misconfigured, Describe(node, problems)) => Problems = problems;

    /// <summary>Every problem that was found.</summary>
    public IReadOnlyList<SetUpProblem> Problems { get; }

    private static string Describe(string node, IReadOnlyList<SetUpProblem> problems) =>
        $"Node '{node}' can't replicate: {problems.Count} problem(s).{string.Concat(problems.Select(p => $"{Environment.NewLine}  - {p}"))}";
}
