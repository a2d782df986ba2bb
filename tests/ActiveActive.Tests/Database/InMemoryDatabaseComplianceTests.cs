using ActiveActive.Compliance.Database;

namespace ActiveActive.Tests.Database;

public sealed class InMemoryDatabaseComplianceTests : LocalDatabaseCompliance
{
    private protected override async ValueTask<LocalDatabaseFixture> CreateAsync(int maxChangesPerPart = 5_000, bool isJoining = false) =>
        await InMemoryFixture.CreateAsync(maxChangesPerPart, isJoining);
}
