using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Testing;

/// <summary>A row that concurrent versions come to, or why there is none.</summary>
internal sealed record ResolverAnswer(Row? Row, string? Fault)
{
    public override string ToString() => Row is null ? Fault! : string.Join(", ", Row.Select(c => $"{c.Key}={c.Value ?? "NULL"}"));
}

/// <summary>Asks a resolver as the engine does: the earlier row, the later one, and the answer made a whole row of the table.</summary>
internal sealed class ResolverQuestion(TableName table, IReadOnlyList<string> key)
{
    private static readonly NodeName[] s_nodes = [new("a"), new("b"), new("c")];

    /// <summary>The version of the row that came as the n-th, from 0: later ones have later stamps.</summary>
    public static RowVersion VersionOf(int place) => new(new CommitTimestamp((place + 1) * 1_000_000L), s_nodes[place], new NpgsqlLogSequenceNumber((ulong)(place + 1) << 8));

    public ResolverAnswer Join(IConflictResolver resolver, ResolverAnswer earlier, ResolverAnswer later, int earlierPlace = 0, int laterPlace = 1) =>
        earlier.Row is null ? earlier : later.Row is null ? later : Answer(() => Ask(resolver, earlier.Row, VersionOf(earlierPlace), later.Row, VersionOf(laterPlace)));

    private static ResolverAnswer Answer(Func<Row> ask)
    {
        try
        {
            return new ResolverAnswer(ask(), null);
        }
        catch (Exception e)
        {
            return new ResolverAnswer(null, $"{e.GetType().Name}: {e.Message}");
        }
    }

    /// <summary>The row that the answer makes; what the resolver throws, is thrown.</summary>
    public Row Ask(IConflictResolver resolver, Row earlier, RowVersion earlierVersion, Row later, RowVersion laterVersion)
    {
        var resolution = resolver.Resolve(new Conflict
        {
            Table = table, Local = earlier, LocalVersion = earlierVersion, Remote = later, RemoteVersion = laterVersion,
        });
        return resolution.Outcome switch
        {
            ConflictOutcome.ApplyRemote => later,
            ConflictOutcome.KeepLocal => earlier,
            _ => Whole(resolution.Merged!, later, resolver),
        };
    }

    private Row Whole(Row merged, Row later, IConflictResolver resolver)
    {
        var columns = later.Keys.ToList();
        int[] keys = [.. key.Select(column => columns.IndexOf(column))];
        var local = new LocalTable(table, [.. columns.Select(c => new LocalColumn(c, "text"))], keys, TableSettings.Default);
        ColumnValue[] rest = [.. later.Values.Select(v => v is null ? ColumnValue.Null : ColumnValue.Of(v))];
        return RowImages.ToRow(local, RowImages.FromMerged(local, merged, rest, resolver.GetType().FullName!));
    }
}
