using System.Collections.Concurrent;
using ActiveActive.Database;

namespace ActiveActive.Membership;

/// <summary>The snapshots that this node holds for nodes that join.</summary>
internal sealed class OpenSnapshots
{
    private readonly ConcurrentDictionary<Guid, HeldSnapshot> _held = new();

    public void Add(HeldSnapshot snapshot) => _held[snapshot.Frame.Id] = snapshot;

    public HeldSnapshot? Find(Guid id) => _held.GetValueOrDefault(id);

    public void Remove(HeldSnapshot snapshot) => _held.TryRemove(snapshot.Frame.Id, out _);
}

/// <summary>A snapshot that is held, and what is known of it.</summary>
/// <param name="Frame">What the joining node is told.</param>
/// <param name="Snapshot">The snapshot.</param>
/// <param name="Tables">Its tables.</param>
/// <param name="Oldest">The first local transaction that somebody may not have seen; 0 for none.</param>
internal sealed record HeldSnapshot(Transport.SnapshotFrame Frame, IDataSnapshot Snapshot, IReadOnlyList<SnapshotTable> Tables, uint Oldest);
