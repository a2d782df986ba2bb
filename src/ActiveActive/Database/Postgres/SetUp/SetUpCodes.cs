namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>The codes of set-up problems. Stable: each is an anchor in docs/ERRORS.md and is never given another meaning.</summary>
internal static class SetUpCodes
{
    public const string ServerTooOld = "AA1001";
    public const string Standby = "AA1002";
    public const string WalLevel = "AA1003";
    public const string CommitTimestamps = "AA1004";
    public const string ReplicationSlots = "AA1005";
    public const string WalSenders = "AA1006";
    public const string ReplicationOrigins = "AA1007";
    public const string Encoding = "AA1008";
    public const string ReadOnly = "AA1009";
    public const string ReplicationConnection = "AA1010";

    public const string ReplicationAttribute = "AA1101";
    public const string CreateInDatabase = "AA1102";
    public const string SetReplicationRole = "AA1103";
    public const string OriginFunctions = "AA1104";
    public const string SchemaUsage = "AA1105";
    public const string TablePrivileges = "AA1106";
    public const string TableOwnership = "AA1107";
    public const string RowSecurity = "AA1108";
    public const string OwnObjects = "AA1109";

    public const string TableMissing = "AA1201";
    public const string PatternMatchesNothing = "AA1202";
    public const string PartitionNamed = "AA1203";
    public const string NotATable = "AA1204";

    public const string NoPrimaryKey = "AA1301";
    public const string DeferrableKey = "AA1302";
    public const string Unlogged = "AA1303";
    public const string ExclusionConstraint = "AA1304";
    public const string Inheritance = "AA1305";
    public const string GeneratedKey = "AA1306";
    public const string ReplicaIdentity = "AA1307";
    public const string ForeignPartition = "AA1308";
    public const string KeyType = "AA1309";
    public const string SequenceKey = "AA1310";
    public const string DottedSchema = "AA1312";

    public const string DeltaMissing = "AA1401";
    public const string DeltaNullable = "AA1402";
    public const string DeltaType = "AA1403";
    public const string DeltaInKey = "AA1404";
    public const string DeltaGenerated = "AA1405";
    public const string DeltaAndResolver = "AA1406";

    public const string OrphanKeyMissing = "AA1601";
    public const string OrphanNotNullable = "AA1602";
    public const string OrphanDelta = "AA1603";
    public const string OrphanParentExcluded = "AA1604";

    public const string OrphanRouted = "AA3064";
    public const string PartitionRoute = "AA3065";
    public const string ResidencyColumn = "AA3067";
    public const string ResidencyRule = "AA3068";
    public const string ResidencyHome = "AA3069";
    public const string ResidencyOrphans = "AA3070";

    public const string PeerIsSelf = "AA1501";
    public const string OtherNode = "AA1502";
    public const string OtherDatabase = "AA1503";
    public const string OtherTimeline = "AA1504";
    public const string Rewound = "AA1505";
    public const string SlotLost = "AA1506";
    public const string SlotNotOurs = "AA1507";
    public const string SlotAhead = "AA1508";
    public const string NewerSchema = "AA1509";
    public const string PublicationLost = "AA1510";
    public const string PublicationForAll = "AA1511";
    public const string OriginLost = "AA1512";
}
