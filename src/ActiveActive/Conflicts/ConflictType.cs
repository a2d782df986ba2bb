namespace ActiveActive;

/// <summary>
/// The kinds of conflict, named as in PostgreSQL's manual
/// (<see href="https://www.postgresql.org/docs/18/logical-replication-conflicts.html">Logical Replication, Conflicts</see>).
/// </summary>
public enum ConflictType
{
    /// <summary>insert_exists: an insert met a row of the same primary key.</summary>
    InsertExists,

    /// <summary>update_origin_differs: an update met a row that another node had changed without its writer's knowledge.</summary>
    UpdateOriginDiffers,

    /// <summary>update_exists: an update's new key was already taken by another row.</summary>
    UpdateExists,

    /// <summary>update_missing: the row to update (or to insert) had been deleted concurrently.</summary>
    UpdateMissing,

    /// <summary>delete_origin_differs: a delete met a row that another node had changed without its writer's knowledge.</summary>
    DeleteOriginDiffers,

    /// <summary>delete_missing: the row to delete had been deleted by another write.</summary>
    DeleteMissing,

    /// <summary>multiple_unique_conflicts: a row met several rows with equal unique values.</summary>
    MultipleUniqueConflicts,

    /// <summary>truncate (not in PostgreSQL's list): a TRUNCATE met rows written concurrently.</summary>
    TruncateOriginDiffers,

    /// <summary>discarded (not in PostgreSQL's list): a change of a transaction that was discarded from quarantine.</summary>
    Discarded,
}
