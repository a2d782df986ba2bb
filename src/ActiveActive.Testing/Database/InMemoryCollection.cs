using ActiveActive.Changes;
using ActiveActive.Diagnostics;

namespace ActiveActive.Testing.Database;

/// <summary>Which notes of a table a stable vector lets go.</summary>
internal static class InMemoryCollection
{
    public static void Collect(InMemoryTable table, DependencyVector stable, uint horizon)
    {
        // BEFORE the tombstones that replaced them: without those they would count again.
        foreach (var (key, note) in table.Losers.All)
        {
            if (table.Tombstones.Find(key) is { } own && own.Version.IsNewerThan(note.Version)
                || table.Tombstones.Find(table.WholeTable) is { } whole && whole.Version.IsNewerThan(note.Version)) table.Losers.All.Remove(key);
        }

        CollectTombstones(table, stable);
        foreach (var (key, note) in table.Overrides.All)
        {
            if (note.IsKept && !Safeguards.IsOff(Safeguard.KeepComparedVersions)) continue;
            if (note.IsCoveredBy(stable) && note.IsOfStableWriter(horizon)) table.Overrides.All.Remove(key);
        }

        foreach (var (key, note) in table.Siblings.All)
        {
            if (note.IsCoveredBy(stable) && note.IsOfStableWriter(horizon)) table.Siblings.All.Remove(key);
        }
    }

    /// <summary>
    /// The greatest delete of a key may never fall back to an older one (convergence R2): a row's tombstone stays while an older one of the
    /// table lives, and goes with a newer one of the table.
    /// </summary>
    private static void CollectTombstones(InMemoryTable table, DependencyVector stable)
    {
        var tombstones = table.Tombstones.All;
        if (tombstones.Count == 0) return;
        var whole = table.Tombstones.Find(table.WholeTable);
        var wholeGoes = whole is not null && whole.IsCoveredBy(stable);
        foreach (var (key, note) in tombstones)
        {
            var goes = whole is null || ReferenceEquals(note, whole) || Safeguards.IsOff(Safeguard.GreatestDeleteStays) ? note.IsCoveredBy(stable)
                : wholeGoes ? note.IsCoveredBy(stable) || whole.Version.IsNewerThan(note.Version)
                : note.IsCoveredBy(stable) && !note.Version.IsNewerThan(whole.Version);
            if (goes) tombstones.Remove(key);
        }
    }
}
