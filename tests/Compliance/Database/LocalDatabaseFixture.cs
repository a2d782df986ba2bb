using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Compliance.Database;

/// <summary>A fresh database with <see cref="ComplianceTable.All"/>, set up as the node <see cref="Node"/>, and the application's way into it.</summary>
internal abstract class LocalDatabaseFixture : IAsyncDisposable
{
    public static readonly NodeName Node = new("eu");
    public static readonly NodeName Us = new("us");
    public static readonly NodeName Ap = new("ap");
    public static readonly IReadOnlyList<NodeName> Peers = [Us, Ap];

    public abstract ILocalDatabase Database { get; }

    /// <summary>The same database as another instance of the application reaches it.</summary>
    public abstract ILocalDatabase OpenInstance();

    /// <summary>Ends the session of the instance that leads, and lets that instance notice.</summary>
    public abstract ValueTask EndLeadAsync();

    /// <summary>Commits a transaction of the application, durably.</summary>
    public abstract ValueTask RunLocalAsync(params IReadOnlyList<LocalOperation> operations);

    /// <summary>The committed rows, values joined by <c>|</c> and NULL as <c>∅</c>, sorted.</summary>
    public abstract ValueTask<IReadOnlyList<string>> ReadRowsAsync(ComplianceTable table);

    /// <summary>Lets the server's clock move where it does not by itself.</summary>
    public virtual void PassTime()
    {
    }

    public abstract ValueTask DisposeAsync();

    protected static IReadOnlyList<string> Sorted(IEnumerable<IEnumerable<string?>> rows) =>
        [.. rows.Select(row => string.Join('|', row.Select(value => value ?? "∅"))).Order(StringComparer.Ordinal)];
}
