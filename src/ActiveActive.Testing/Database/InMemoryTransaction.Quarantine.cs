namespace ActiveActive.Testing.Database;

/// <content>What a transaction puts into quarantine and takes out.</content>
internal sealed partial class InMemoryTransaction
{
    private readonly List<ReadOnlyMemory<byte>> _quarantinedParts = [];
    private QuarantinedTransaction? _quarantined;
    private QuarantinedTransaction? _released;

    /// <summary>Whether the log will say that it put its origin's transaction aside.</summary>
    internal bool Quarantines => _quarantined is not null;

    internal void StoreQuarantinedPart(ReadOnlyMemory<byte> content) => _quarantinedParts.Add(content);

    internal void Quarantine(QuarantinedTransaction entry) => _quarantined = entry;

    internal void Release(QuarantinedTransaction entry) => _released = entry;

    private void InstallQuarantine(InMemoryUndo? undo)
    {
        if (_quarantined is { } added)
        {
            undo?.Added(added);
            _server.Quarantine.Add(added, _quarantinedParts);
        }

        if (_released is not { } gone) return;
        undo?.Released(gone, _server.Quarantine.PartsOf(gone));
        _server.Quarantine.Remove(gone);
    }
}
