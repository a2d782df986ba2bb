using ActiveActive.Compliance.Database;

namespace ActiveActive.Tests.Database;

public sealed class InMemoryDatabaseComplianceTests : LocalDatabaseCompliance
{
    private protected override async ValueTask<LocalDatabaseFixture> CreateAsync(int maxChangesPerPart = 5_000) =>
        await InMemoryFixture.CreateAsync(maxChangesPerPart);
}
