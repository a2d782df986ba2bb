using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Testing.Database;

internal enum InMemoryNoteKind
{
    Tombstone,
    Override,
    Siblings,
    Loser,
}

/// <summary>What is noted under a key: a tombstone, an override or siblings. Immutable.</summary>
/// <param name="Xid">
/// An override or siblings are valid while the row's xmin is this; siblings of <see cref="NoRow"/> while there is no row.
/// </param>
/// <param name="Version">The delete's or the row's true version; default for siblings.</param>
/// <param name="Siblings">Empty for a tombstone or an override.</param>
internal sealed record InMemoryNote(uint Xid, RowVersion Version, IReadOnlyList<Sibling> Siblings)
{
    /// <summary>An override that a loser is compared with: never collected.</summary>
    public bool IsKept { get; init; }

    /// <summary>Of a loser: the row that had the value.</summary>
    public RowKey? Winner { get; init; }

    public UniqueLoser? Loser => Siblings.Count == 1 ? new UniqueLoser(Version, Siblings[0].Values!) : null;

    public const uint NoRow = 0;

    /// <summary>Of an override or siblings: whether the row's xmin is stable, too, or there is no row.</summary>
    public bool IsOfStableWriter(uint horizon) => Xid == NoRow || Xid < horizon || Safeguards.IsOff(Safeguard.NotesOutlastTheirWriter);

    public bool IsCoveredBy(DependencyVector stable)
    {
        if (Siblings.Count == 0) return stable.Covers(Version.Origin, Version.Position);
        foreach (var sibling in Siblings)
        {
            if (!stable.Covers(sibling.Version.Origin, sibling.Version.Position)) return false;
        }

        return true;
    }
}

/// <summary>One kind of note of one table: what PostgreSQL keeps in a table of the schema <c>active_active</c>.</summary>
internal sealed class InMemoryNotes(InMemoryNoteKind kind)
{
    private readonly Dictionary<RowKey, InMemoryNote> _notes = new(InMemoryTable.KeyValuesComparer.Instance);

    public InMemoryNoteKind Kind { get; } = kind;

    public int Count => _notes.Count;

    public Dictionary<RowKey, InMemoryNote> All => _notes;

    public InMemoryNote? Find(RowKey key) => _notes.Count == 0 ? null : _notes.GetValueOrDefault(key);

    /// <summary>Replaces the note of a key, or drops it; a tombstone gives way only to a newer one.</summary>
    public void Write(RowKey key, InMemoryNote? note)
    {
        if (Kind == InMemoryNoteKind.Tombstone && note is not null && Find(key) is { } present && !note.Version.IsNewerThan(present.Version)) return;
        Restore(key, note);
    }

    /// <summary>Sets what stood there before, whatever stands there now.</summary>
    public void Restore(RowKey key, InMemoryNote? note)
    {
        if (note is null) _notes.Remove(key);
        else _notes[key] = note;
    }
}
