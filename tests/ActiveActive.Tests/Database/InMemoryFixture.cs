using ActiveActive.Changes;
using ActiveActive.Compliance.Database;
using ActiveActive.Database;
using ActiveActive.Testing.Database;
using Microsoft.Extensions.Time.Testing;

namespace ActiveActive.Tests.Database;

/// <summary>A fresh in-memory database with the compliance tables, on a clock that stands still unless moved.</summary>
internal sealed class InMemoryFixture : LocalDatabaseFixture
{
    private InMemoryFixture(InMemoryDatabase memory, FakeTimeProvider clock)
    {
        Memory = memory;
        Clock = clock;
    }

    public InMemoryDatabase Memory { get; }

    public FakeTimeProvider Clock { get; }

    public override ILocalDatabase Database => Memory;

    public override ILocalDatabase OpenInstance() => Memory.ForInstance();

    public override ValueTask EndLeadAsync()
    {
        Memory.EndLead()();
        return default;
    }

    public static async ValueTask<InMemoryFixture> CreateAsync(int maxChangesPerPart = 5_000, bool isJoining = false)
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var memory = new InMemoryDatabase(new InMemoryDatabaseOptions
        {
            Node = Node,
            Clock = clock,
            MaxChangesPerPart = maxChangesPerPart,
            Tables = [.. ComplianceTable.All.Select(Define)],
        });
        await memory.SetUpAsync(isJoining, TestContext.Current.CancellationToken);
        return new InMemoryFixture(memory, clock);
    }

    public LocalTable Table(ComplianceTable table) => Memory.Table(table.FullName.ToString());

    public override async ValueTask RunLocalAsync(params IReadOnlyList<LocalOperation> operations)
    {
        using var transaction = Memory.BeginLocal();
        foreach (var operation in operations) Assert.True(await RunAsync(transaction, operation), $"{operation.Kind} met no row, or one too many.");
        transaction.Commit();
    }

    public async ValueTask<bool> RunAsync(InMemoryTransaction transaction, LocalOperation operation)
    {
        var table = Table(operation.Table);
        var values = new ColumnValue[table.Columns.Count];
        Array.Fill(values, ColumnValue.Unchanged);
        foreach (var (column, value) in operation.Values) values[table.OrdinalOf(column)] = value is null ? ColumnValue.Null : ColumnValue.Of(value);
        switch (operation.Kind)
        {
            case ChangeKind.Insert:
                return await transaction.InsertAsync(table, values);
            case ChangeKind.Update:
                return await transaction.UpdateAsync(table, operation.Key, values);
            case ChangeKind.Delete:
                return await transaction.DeleteAsync(table, operation.Key);
            default:
                await transaction.TruncateAsync(table);
                return true;
        }
    }

    public override ValueTask<IReadOnlyList<string>> ReadRowsAsync(ComplianceTable table) =>
        new(Sorted(Memory.ReadRows(Table(table)).Select(row => row.Select(value => value.Text))));

    public override void PassTime() => Clock.Advance(TimeSpan.FromMicroseconds(1));

    public override ValueTask DisposeAsync() => Memory.DisposeAsync();

    private static InMemoryTableDefinition Define(ComplianceTable table)
    {
        var rules = new ReplicatedTables([table.Rule]);
        var names = table.Columns.Select(c => c.Name).ToList();
        return new InMemoryTableDefinition(
            new LocalTable(
                table.FullName, [.. table.Columns.Select(c => new LocalColumn(c.Name, c.Type))], [.. table.Key.Select(column => names.IndexOf(column))],
                rules.SettingsOf(table.FullName)) { HasUniqueKeys = table.UniqueKeys.Count > 0 },
            table.ToastColumns)
        {
            ForeignKeys = [.. table.ForeignKeys.Select(k => new ForeignKey
            {
                Table = table.FullName, Name = $"{table.Name}_{k.Column}_fkey", Columns = [k.Column], Referenced = new("public", k.Referenced), ReferencedColumns = ["id"],
                NullableColumns = [k.Column], Policy = rules.OrphanRulesOf(table.FullName).PolicyOf($"{table.Name}_{k.Column}_fkey", [k.Column]),
            })],
            UniqueKeys = [.. table.UniqueKeys.Select((k, i) => new InMemoryUniqueKey($"{table.Name}_{i}", [.. k.Columns.Select(c => names.IndexOf(c))]) { NullsNotDistinct = k.NullsNotDistinct })],
        };
    }
}
