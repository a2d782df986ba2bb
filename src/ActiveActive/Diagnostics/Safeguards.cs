namespace ActiveActive.Diagnostics;

/// <summary>
/// The rules that convergence rests on, each of which the simulation must miss when it is off: a test that can't fail shows nothing. In brackets
/// what of convergence it is.
/// </summary>
internal enum Safeguard
{
    None,

    /// <summary>A transaction waits for what its writer had seen (M3).</summary>
    CausalHold,

    /// <summary>What was applied is not applied again (M5).</summary>
    Deduplication,

    /// <summary>What is acknowledged is durable (M5).</summary>
    AcknowledgeWhenDurable,

    /// <summary>Local deletes are entered by capture (R1).</summary>
    LocalTombstones,

    /// <summary>A delete that finds no row leaves a tombstone all the same (R1).</summary>
    TombstoneWithoutRow,

    /// <summary>A missing row, or one that capture has not passed, is decided about behind capture (R1).</summary>
    DecideBehindCapture,

    /// <summary>A local row's tombstones count as entered only if capture had passed it before the look (R1).</summary>
    PassedBeforeTheLook,

    /// <summary>An insert is verified behind capture (R1).</summary>
    VerifyInserts,

    /// <summary>Capture is waited for unless nobody but the node itself has written meanwhile (R1).</summary>
    NobodyElseWrote,

    /// <summary>Capture having passed a transaction, its rows are waited for until they are visible (R1).</summary>
    WaitUntilVisible,

    /// <summary>What commits behind a marker counts as later than the transaction for which it was written (R1, R4).</summary>
    MarkerFloor,

    /// <summary>A row that is missing behind the marker without a tombstone is looked for once more, so that the delete can be named (M10).</summary>
    AbsenceIsExplained,

    /// <summary>Two apply workers do not decide about a key at once (R1).</summary>
    KeyGate,

    /// <summary>Only what all members' own streams cover is collected (R1).</summary>
    CollectWhenStable,

    /// <summary>A member's vector counts once what its stream holds before it is applied, not when it is known to be sent (R1).</summary>
    NoteMemberInOrder,

    /// <summary>Equal rows take the later version all the same (R1).</summary>
    EqualRowsAreWritten,

    /// <summary>What was written without knowledge of the greatest delete does not count (R2, rule E).</summary>
    RuleE,

    /// <summary>A foreign delete that finds no row excludes a local insert under way (R2).</summary>
    TakePlace,

    /// <summary>A truncate excludes local writers of its table (R2, R7).</summary>
    LockTruncatedTables,

    /// <summary>A key's greatest delete never falls back to an older one (R2).</summary>
    GreatestDeleteStays,

    /// <summary>A delta added for a losing write leaves the row its version (R3).</summary>
    VersionOverride,

    /// <summary>A later write of the same transaction drops the row's override (R3).</summary>
    DropOwnOverride,

    /// <summary>A stamp is later than all before it in the log (R4).</summary>
    CorrectStamps,

    /// <summary>Where transactions show one stamp, a row's key tells which of them wrote it (R4).</summary>
    TiedStamps,

    /// <summary>What is applied of an origin is what the log shows, and not what an aborted transaction has left as its progress.</summary>
    ProgressIsInTheLog,

    /// <summary>A new session applies nothing before capture has passed a marker: after a crash of the server others would go on where commits are missing.</summary>
    SessionsBehindCapture,

    /// <summary>A transaction is applied when the server's clock has reached its stamp (R4).</summary>
    ApplyWait,

    /// <summary>And not before the clock is strictly past it (R4).</summary>
    StrictApplyWait,

    /// <summary>Equal stamps are ordered by node (R4).</summary>
    TieByNode,

    /// <summary>Of two rows that meet in a unique value the earlier one is kept out of sight, and does not just go (R6).</summary>
    KeepLosers,

    /// <summary>A row that lost a unique value stays a version of its key: later writes reach it, earlier ones lose against it (R6).</summary>
    LosersAreVersions,

    /// <summary>A local write that frees a unique value brings its loser back (R6).</summary>
    ReturnAfterLocalWrite,

    /// <summary>The version of a row that a loser is compared with is kept for as long as the loser (R6).</summary>
    KeepComparedVersions,

    /// <summary>A hidden row of a table with delta columns and a row that a local writer inserts in its place add up (R6, R2).</summary>
    AddHiddenRow,

    /// <summary>Where deltas or siblings are decided about and no row is written, local writers are kept out (R6, R2, R8).</summary>
    ExcludeLocalWriters,

    /// <summary>Among the rows of other keys a fold counts as its greatest version (R6, R8).</summary>
    FoldVersion,

    /// <summary>The versions that a row was folded from go out of sight and come back with it (R6, R8).</summary>
    SiblingsOfLosers,

    /// <summary>A truncate decides about hidden rows by the rule of their table (R6, R7).</summary>
    TruncateLosers,

    /// <summary>A truncate leaves the table's tombstone (R7).</summary>
    TableTombstone,

    /// <summary>Rows later than a truncate stay (R7).</summary>
    LaterRowsStay,

    /// <summary>What a truncate removes that its writer had not seen is recorded (M1).</summary>
    RecordTruncated,

    /// <summary>A concurrent winner has all its values; none comes from the row that it replaces.</summary>
    WholeRows,

    /// <summary>The origin looks once the transaction that it is asked for is visible.</summary>
    FetchWhenVisible,

    /// <summary>No older row stands in for one whose values nobody has any more.</summary>
    AbsentUntilReplaced,

    /// <summary>Concurrent versions are kept as siblings and folded in version order (R8).</summary>
    Siblings,

    /// <summary>What is noted of a row stays until the transaction that the row shows in its place is stable, too (R3, R8).</summary>
    NotesOutlastTheirWriter,

    /// <summary>A transaction in quarantine is a gap in the vector (R1, R2, R8).</summary>
    QuarantineGap,

    /// <summary>What has seen a transaction in quarantine and writes its rows waits behind it (M3).</summary>
    QuarantineOrder,

    /// <summary>What a node that died had sent to some reaches the others from them (R10).</summary>
    Relay,

    /// <summary>Rows of several transactions that one local commit applied are told apart (R5).</summary>
    GroupedVersions,

    /// <summary>What is written without a look leaves rows that the writer had not seen (R1, M10).</summary>
    UnseenStamps,

    /// <summary>What left the quarantine late does not end the search for what a writer had not seen (R1).</summary>
    LateTransactions,

    /// <summary>Rows in a file that is not known are not taken for seen ones (adr/0020).</summary>
    KnownFiles,

    /// <summary>A set of rows that is refused is tried again row by row.</summary>
    SplitRefusedSets,

    /// <summary>What applies several transactions waits for no lock for long.</summary>
    GroupsGiveWay,

    /// <summary>A relayed transaction has its own vector, not what its relayer had seen (R10).</summary>
    RelayedVector,

    /// <summary>What is copied to a node that joins comes with the versions that somebody may not have seen, and with tombstones (R3).</summary>
    CopyVersions,

    /// <summary>A member that leaves is waited for until all others take nothing from it any more and what one of them has of it is here (R1).</summary>
    SettleBeforeParted,

    /// <summary>A member that was not heard of yet has nothing: all is kept for it, as for a node that joins (R1).</summary>
    KeepForTheUnheard,

    /// <summary>An orphan is treated once every node is known to have both writes that made it, and all that they wrote before is here.</summary>
    RepairStableOrphans,

    /// <summary>What is written to an orphan is written only if it is still the one that was found.</summary>
    RepairWhatIsStillOrphaned,

    /// <summary>As a rule one node treats an orphan: each further one by name lets one more turn pass.</summary>
    RepairByOneNode,

    /// <summary>A peer is sent nothing of a table that it does not hold (M8).</summary>
    RouteOnStream,

    /// <summary>Nor from a node that relays (M8).</summary>
    RouteOnRelay,

    /// <summary>Nor when it joins (M8).</summary>
    RouteOnJoinCopy,

    /// <summary>A row of a table is asked of those alone that hold the table: who asks names its key (M8).</summary>
    RouteOnRowFetch,

    /// <summary>Who lacks rows of a node that another one must get does not relay them (M1).</summary>
    RelayOfWholeRoutes,

    /// <summary>Of a row that moves, a node that it leaves gets its delete, and one that it enters all of it (R9).</summary>
    MovesAreSplit,

    /// <summary>Who may have a version, and not see the one that has replaced it, is told (R9).</summary>
    RouteMarkers,

    /// <summary>A row that a node writes for others, or moves to them, does not stay (M8).</summary>
    EvictMovedRows,

    /// <summary>No checkpoint passes a row that has not left yet: after a crash it is found again.</summary>
    EvictBeforeCheckpoint,
}

/// <summary>Switches one of them off, in tests only.</summary>
internal static class Safeguards
{
    private static Safeguard s_off;

    public static bool IsOff(Safeguard safeguard) => s_off == safeguard;

    public static void SwitchOff(Safeguard safeguard) => s_off = safeguard;
}
