using ActiveActive.Changes;

namespace ActiveActive.Postgres.Tests.Capture;

/// <summary>Changes in a form that a test can state: <c>public.t +(1, a)</c>, <c>-(1)</c>, <c>(old)>(new)</c>, <c>truncate</c>.</summary>
internal static class RowText
{
    public static string Of(Change change) => change.Kind switch
    {
        ChangeKind.Insert => $"{change.Relation} +({Row(change.NewRow!)})",
        ChangeKind.Update when change.OldRow is null => $"{change.Relation} >({Row(change.NewRow!)})",
        ChangeKind.Update => $"{change.Relation} {(change.OldIsKeyOnly ? "key" : "")}({Row(change.OldRow!)})>({Row(change.NewRow!)})",
        ChangeKind.Delete => $"{change.Relation} -{(change.OldIsKeyOnly ? "key" : "")}({Row(change.OldRow!)})",
        _ => $"{change.Relation} truncate",
    };

    public static string[] Of(IEnumerable<Change> changes) => [.. changes.Select(Of)];

    private static string Row(ColumnValue[] row) => string.Join(", ", row.Select(value => value.ToString()));
}
