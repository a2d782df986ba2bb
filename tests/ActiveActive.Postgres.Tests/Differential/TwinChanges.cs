using System.Globalization;

namespace ActiveActive.Postgres.Tests.Differential;

internal enum TwinChangeKind
{
    Insert,
    Update,
    ChangeKey,
    Delete,
    Truncate,
}

/// <summary>One statement, told so that SQL and memory can both do it. One that finds its key taken, or no row, does nothing.</summary>
internal sealed record TwinChange(TwinChangeKind Kind, string Table, int Key)
{
    public IReadOnlyList<(string Column, string Text)> Values { get; init; } = [];

    /// <summary>What an update adds to <c>balance</c>.</summary>
    public int Add { get; init; }

    public int NewKey { get; init; }

    public override string ToString() => Kind switch
    {
        TwinChangeKind.Truncate => $"TRUNCATE {Table}",
        TwinChangeKind.ChangeKey => $"{Table} {Key} becomes {NewKey}",
        TwinChangeKind.Delete => $"delete {Table} {Key}",
        _ => $"{Kind} {Table} {Key} {string.Join(", ", Values.Select(v => $"{v.Column}={TwinOutcome.Shorten(v.Text)}"))}{(Add == 0 ? "" : $" balance+{Add}")}",
    };
}

/// <summary>Draws statements on few keys of a table for each rule.</summary>
internal sealed class TwinChanges(Random random, int firstKey)
{
    public const int Keys = 2;

    public const string Schema = """
        CREATE TABLE written (id text PRIMARY KEY);
        CREATE TABLE note (id int PRIMARY KEY, body text, paper text);
        ALTER TABLE note ALTER paper SET STORAGE EXTERNAL;
        CREATE TABLE account (id int PRIMARY KEY, owner text, balance bigint NOT NULL, paper text);
        ALTER TABLE account ALTER paper SET STORAGE EXTERNAL;
        CREATE TABLE profile (id int PRIMARY KEY, tags text[] NOT NULL, paper text);
        ALTER TABLE profile ALTER paper SET STORAGE EXTERNAL;
        """;

    public static readonly IReadOnlyDictionary<string, string[]> Columns = new Dictionary<string, string[]>
    {
        ["note"] = ["id", "body", "paper"],
        ["account"] = ["id", "owner", "balance", "paper"],
        ["profile"] = ["id", "tags", "paper"],
    };

    /// <summary>Parts of two changes: most transactions come in several.</summary>
    public static void Configure(ReplicationNodeBuilder builder) => builder
        .Replicate("public.*")
        .Replicate("public.account", table => table.DeltaColumn("balance"))
        .ResolveConflictsWith<TagOrder>("public.profile")
        .With(o => o.MaxChangesPerPart = 2);

    /// <summary>A row under every key.</summary>
    public IReadOnlyList<TwinChange> Fill() =>
        [.. Enumerable.Range(firstKey, Keys).SelectMany(key => new[] { InsertNote(key, "first"), InsertAccount(key, "first"), InsertProfile(key, "first") })];

    public IReadOnlyList<TwinChange> Draw(string writer)
    {
        var changes = new List<TwinChange>();
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            var key = firstKey + random.Next(Keys);
            // Some writers write the same, which is no conflict.
            var text = random.Next(5) == 0 ? "same" : writer;
            changes.Add(random.Next(3) switch
            {
                0 => Note(key, text),
                1 => Account(key, text),
                _ => Profile(key, text),
            });
        }

        return changes;
    }

    private TwinChange Note(int key, string text) => random.Next(20) switch
    {
        < 5 => InsertNote(key, text),
        < 9 => new(TwinChangeKind.Update, "note", key) { Values = [("body", text)] },
        < 11 => new(TwinChangeKind.Update, "note", key) { Values = [("body", text), ("paper", Large(text))] },
        < 15 => new(TwinChangeKind.ChangeKey, "note", key) { NewKey = firstKey + random.Next(Keys) },
        < 19 => new(TwinChangeKind.Delete, "note", key),
        _ => new(TwinChangeKind.Truncate, "note", 0),
    };

    private TwinChange Account(int key, string text) => random.Next(20) switch
    {
        < 6 => InsertAccount(key, text),
        < 11 => new(TwinChangeKind.Update, "account", key) { Add = random.Next(1, 100) },
        < 13 => new(TwinChangeKind.Update, "account", key) { Values = [("owner", text)] },
        < 14 => new(TwinChangeKind.Update, "account", key) { Values = [("owner", text), ("paper", Large(text))], Add = -random.Next(1, 100) },
        < 15 => new(TwinChangeKind.ChangeKey, "account", key) { NewKey = firstKey + random.Next(Keys) },
        < 19 => new(TwinChangeKind.Delete, "account", key),
        _ => new(TwinChangeKind.Truncate, "account", 0),
    };

    // No TRUNCATE: with merged rows it is a known limit (README).
    private TwinChange Profile(int key, string text) => random.Next(10) switch
    {
        < 4 => InsertProfile(key, text),
        < 7 => new(TwinChangeKind.Update, "profile", key) { Values = [("tags", Tags())] },
        < 8 => new(TwinChangeKind.Update, "profile", key) { Values = [("tags", Tags()), ("paper", Large(text))] },
        _ => new(TwinChangeKind.Delete, "profile", key),
    };

    private static TwinChange InsertNote(int key, string text) => new(TwinChangeKind.Insert, "note", key) { Values = [("id", Text(key)), ("body", text), ("paper", Large(text))] };

    private TwinChange InsertAccount(int key, string text) => new(TwinChangeKind.Insert, "account", key) { Values = [("id", Text(key)), ("owner", text), ("balance", Text(random.Next(100))), ("paper", Large(text))] };

    private TwinChange InsertProfile(int key, string text) => new(TwinChangeKind.Insert, "profile", key) { Values = [("id", Text(key)), ("tags", Tags()), ("paper", Large(text))] };

    private string Tags() => $"{{{string.Join(',', Enumerable.Range(0, 5).Where(_ => random.Next(2) == 0).Select(i => $"t{i}"))}}}";

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Large enough to be stored apart, so that the log leaves it out where an update does not set it.</summary>
    private static string Large(string text) => string.Concat(Enumerable.Repeat(text + "/", 3000 / (text.Length + 1) + 1));
}

/// <summary>Shows in which order it was asked about which rows: it is neither commutative nor idempotent.</summary>
public sealed class TagOrder : IConflictResolver
{
    public ConflictResolution Resolve(Conflict conflict) =>
        ConflictResolution.Merge(conflict.Remote.With("tags", conflict.Local.GetArray("tags")!.Concat(conflict.Remote.GetArray("tags")!).TakeLast(9)));
}
