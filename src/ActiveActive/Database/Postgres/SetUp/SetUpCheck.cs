namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>All checks, in the order in which their problems are best mended.</summary>
internal static class SetUpCheck
{
    public static IReadOnlyList<SetUpProblem> Find(SetUpFacts facts) =>
    [
        .. ServerCheck.Find(facts),
        .. PrivilegeCheck.Find(facts),
        .. StateCheck.Find(facts),
        .. RuleCheck.Find(facts),
        .. TableCheck.Find(facts),
        .. SequenceKeyCheck.Find(facts),
        .. DeltaColumnCheck.Find(facts),
        .. OrphanPolicyCheck.Find(facts),
        .. RouteCheck.Find(facts),
    ];
}
