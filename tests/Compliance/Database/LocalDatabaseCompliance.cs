using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

/// <summary>What the database seam promises. Every implementation runs it; it knows nothing of any of them.</summary>
public abstract partial class LocalDatabaseCompliance
{
    private static readonly CommitTimestamp s_past = CommitTimestamp.From(new DateTimeOffset(2015, 6, 1, 12, 0, 0, 123, TimeSpan.Zero).AddMicroseconds(456));
    private static readonly CommitTimestamp s_future = CommitTimestamp.From(new DateTimeOffset(2095, 6, 1, 12, 0, 0, 123, TimeSpan.Zero).AddMicroseconds(456));
    private static readonly CommitTimestamp s_farFuture = CommitTimestamp.From(new DateTimeOffset(2099, 1, 1, 0, 0, 0, TimeSpan.Zero));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Makes a fresh database, set up.</summary>
    private protected abstract ValueTask<LocalDatabaseFixture> CreateAsync(int maxChangesPerPart = 5_000, bool isJoining = false);

    private static NpgsqlLogSequenceNumber At(ulong position) => new(position);

    private static RowVersion Version(CommitTimestamp stamp, NodeName origin, ulong position) => new(stamp, origin, At(position));

    private static ColumnValue[] Texts(params ReadOnlySpan<string?> values)
    {
        var row = new ColumnValue[values.Length];
        for (var i = 0; i < row.Length; i++) row[i] = values[i] is { } text ? ColumnValue.Of(text) : ColumnValue.Null;
        return row;
    }

    private static IEnumerable<string?> TextsOf(ColumnValue[]? row) => row!.Select(v => v.IsUnchanged ? "(unchanged)" : v.Text);

    private static async Task<ChangeReader> ReadFromCheckpointAsync(LocalDatabaseFixture fixture) => await ChangeReader.OpenAsync(
        fixture.Database, (await fixture.Database.FindCheckpointAsync(Token))!.Position, null, Token);

    private static async ValueTask<LocalTable> FindAsync(IApplySession session, ComplianceTable table)
    {
        var found = await session.FindTableAsync(table.Relation, Token);
        Assert.NotNull(found);
        return found;
    }

    private static async Task<KeyState> ReadKeyAsync(IApplySession session, ComplianceTable table, RowKey key) =>
        Assert.Single(await session.ReadKeysAsync([new LocalKey(await FindAsync(session, table), key)], Token));

    /// <summary>What a transaction of its own sees under a key.</summary>
    private static async Task<KeyState> LookAsync(IApplySession session, ComplianceTable table, RowKey key)
    {
        await session.BeginAsync(Token);
        var state = await ReadKeyAsync(session, table, key);
        await session.RollbackAsync(Token);
        return state;
    }

    /// <summary>Beyond all that was written until now.</summary>
    private static async Task<uint> HorizonAsync(LocalDatabaseFixture fixture) => (await fixture.Database.WriteMarkerAsync(CommitTimestamp.Unknown, Token)).Horizon;

    private static async Task ApplyAsync(
        IApplySession session, ulong position, CommitTimestamp stamp, ComplianceTable table, params Func<LocalTable, PlannedWrite>[] writes)
    {
        await session.BeginAsync(Token);
        await ExecuteAsync(session, table, writes);
        await session.CommitAsync(At(position), stamp, Token);
    }

    private static async Task ExecuteAsync(IApplySession session, ComplianceTable table, params Func<LocalTable, PlannedWrite>[] writes)
    {
        var target = await FindAsync(session, table);
        var plan = new ApplyPlan();
        foreach (var write in writes) plan.Writes.Add(write(target));
        await session.ExecuteAsync(plan, Token);
    }

    private static async Task<ReplicationException> FailsAsync(ReplicationErrorKind kind, Func<Task> action)
    {
        var error = await Assert.ThrowsAsync<ReplicationException>(action);
        Assert.Equal(kind, error.Kind);
        return error;
    }
}
