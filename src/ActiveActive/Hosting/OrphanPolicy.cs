namespace ActiveActive;

/// <summary>
/// What becomes of a row whose foreign key names a missing row. Foreign keys are not checked on apply, so a parent deleted on one node while a child of
/// it is inserted on another leaves such an orphan, the same one on every node. The periodic check acts
/// (<see cref="ReplicationNodeOptions.OrphanCheckInterval"/>), once every node is known to have both writes; what it writes replicates as any local write does.
/// </summary>
public enum OrphanPolicy
{
    /// <summary>It stays as it is, and is reported.</summary>
    Keep,

    /// <summary>
    /// The foreign key's columns are set to NULL, as by <c>ON DELETE SET NULL</c>: those that the constraint's own <c>ON DELETE SET NULL (…)</c> names, else
    /// all that may be null and are not part of the primary key. Triggers fire as for any update.
    /// </summary>
    SetNull,

    /// <summary>
    /// The row is moved out of sight, whole, into <c>active_active.orphan</c> on every node, and is back when its parent is
    /// (<see cref="ReplicationNode.ReadQuarantinedOrphansAsync"/>). Neither triggers nor referential actions fire. Not for tables with delta columns.
    /// </summary>
    Quarantine,
}
