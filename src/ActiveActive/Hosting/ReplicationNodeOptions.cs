using System.Security.Cryptography.X509Certificates;
using ActiveActive.Credentials;

namespace ActiveActive;

/// <summary>
/// The settings of one node. Filled by the builder of <c>AddActiveActive</c>, by configuration binding, or both; all problems are
/// listed together when the host starts.
/// </summary>
public sealed class ReplicationNodeOptions
{
    /// <summary>The node's name (see <see cref="NodeName"/>): unique in the cluster, never changed. No default.</summary>
    public string? Name { get; set; }

    /// <summary>The Npgsql connection string of the local database. Its role needs what docs/SETUP.md grants. No default.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>The other nodes, by name: where they are dialled, and how they show who they are.</summary>
    public IDictionary<string, PeerOptions> Peers { get; } = new Dictionary<string, PeerOptions>(StringComparer.Ordinal);

    /// <summary>
    /// The peer from which a node gets its data when it is set up for the first time, in a database whose replicated tables are empty; null for a node of a new cluster, whose databases hold
    /// the same rows. All others must name this node as a peer. Without effect once the node has joined. Default: null.
    /// </summary>
    public string? JoinFrom { get; set; }

    /// <summary>How many tables are copied at once while the node joins, 1 to 16. Default: 4.</summary>
    public int JoinParallelism { get; set; } = 4;

    /// <summary>
    /// Which tables replicate and how, in order: every table that matches a pattern takes part, and rules that match the same table
    /// add up. Must be the same on every node.
    /// </summary>
    public IList<TableRule> Tables { get; } = [];

    /// <summary>
    /// The secret that nodes show each other; at least 16 visible ASCII characters. It lets in whoever shows it, as any peer that has no certificate or token of its
    /// own here. Required unless every peer beyond loopback has one. No default.
    /// </summary>
    public string? SharedToken { get; set; }

    /// <summary>Further shared tokens that are accepted, while one takes the place of another. Default: none.</summary>
    public IList<string> AcceptedSharedTokens { get; } = [];

    /// <summary>The token that this node shows to peers in place of <see cref="SharedToken"/>, called for each dial; peers list it under this node's name. Default: null.</summary>
    public Func<string>? OwnToken { get; set; }

    /// <summary>
    /// The certificate, with its private key, that this node shows to peers on <c>https</c> addresses, called for each dial; peers list it under this node's name. It is
    /// not the web server's, which may be the same. Default: null.
    /// </summary>
    public Func<X509Certificate2>? OwnCertificate { get; set; }

    /// <summary>In place of <see cref="OwnCertificate"/>.</summary>
    internal CertificateFile? OwnCertificateFile { get; set; }

    /// <summary>
    /// Issuers, roots and intermediates: of the certificates that peers show and that are listed by name, in place of those that the machine trusts; of peers' web servers,
    /// beside those. Default: none.
    /// </summary>
    public X509Certificate2Collection TrustedAuthorities { get; } = [];

    /// <summary>Whether peers beyond loopback are dialled, and let in, without TLS: tokens and rows can then be read on the way. Default: false.</summary>
    public bool AllowPlaintext { get; set; }

    /// <summary>The path under which <c>MapActiveActive</c> answers peers, and which peers are dialled at. Default: <c>/active-active</c>.</summary>
    public string Path { get; set; } = "/active-active";

    /// <summary>
    /// What becomes of a peer's transaction that can't be applied here, for tables whose rules say nothing
    /// (<see cref="TableRule.OnApplyError"/>). Nodes need not agree. Default: <see cref="ApplyErrorPolicy.Hold"/>.
    /// </summary>
    public ApplyErrorPolicy OnApplyError { get; set; } = ApplyErrorPolicy.Hold;

    /// <summary>How long conflict-history entries are kept, at least 1 minute. Default: 30 days.</summary>
    public TimeSpan ConflictRetention { get; set; } = TimeSpan.FromDays(30);

    /// <summary>How often an idle node tells its peers how far it is, 10 ms to 1 minute. Default: 1 s.</summary>
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// A connection whose other end says nothing for so long is dead, on both sides: several heartbeats, and never shorter than a busy machine's hiccup. Tests shorten it.
    /// </summary>
    internal TimeSpan ReadTimeout
    {
        get => field > TimeSpan.Zero ? field : TimeSpan.FromTicks(Math.Max(TimeSpan.FromSeconds(20).Ticks, HeartbeatInterval.Ticks * 5));
        set;
    }

    /// <summary>The first wait before a lost peer or database is tried again, 10 ms to 1 minute; doubles up to <see cref="MaxReconnectDelay"/>, with jitter. Default: 200 ms.</summary>
    public TimeSpan ReconnectDelay { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest wait between tries, up to 10 minutes. Default: 15 s.</summary>
    public TimeSpan MaxReconnectDelay { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How long the instance that leads this node may say nothing to its database before the server takes the lead from it, 2 s to 5 minutes: it is frozen, or its network is
    /// lost. One that ends, or is killed, is replaced at once. Default: 10 s.
    /// </summary>
    public TimeSpan LeaderTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a peer must be unreachable before this node asks the others for its transactions, 0 to 1 hour. Where another peer's stream shows
    /// that it has more of them (it waits for one), it is asked at once. Default: 10 s.
    /// </summary>
    public TimeSpan RelayAfter { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How much WAL this node keeps for a peer that does not come, or is slow, in bytes; past that the peer is parted from the cluster (<see cref="ReplicationNode.PartAsync"/>), its share of the log is let go, and
    /// it comes back by <see cref="ReplicationNode.ResyncAsync"/>. Zero: as much as the server has room for. Nothing is parted by a node that can't reach more than half of the members, or half with the first by name among them. Should be
    /// well below the room of the volume with <c>pg_wal</c>, and below <c>max_slot_wal_keep_size</c> where that is set. Default: 0.
    /// </summary>
    public long WalBudget { get; set; }

    /// <summary>How long nothing may be heard of a peer before it is parted in the same way, at least 1 minute; zero for ever. Default: 0.</summary>
    public TimeSpan PartAfter { get; set; }

    /// <summary>
    /// How often the foreign keys of the replicated tables are checked for rows that name a missing row, and orphans treated as
    /// <see cref="TableRule.OnOrphan"/> says; 1 s to 1 day, or zero for never. Each check reads the referencing tables in full, each foreign key for 30 s at
    /// most. Default: 5 minutes.
    /// </summary>
    public TimeSpan OrphanCheckInterval { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>A peer's clock may be ahead of the local database server's by so much before its stream waits and health degrades. Default: 5 s.</summary>
    public TimeSpan MaxClockSkew { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How many bytes of encoded transactions are kept in memory for peers, 1 MiB to 16 GiB. A peer further behind reads through its
    /// own copy of the slot. What peers take compressed (<see cref="Compression"/>) is kept so besides: less than as much again. Default: 64 MiB.
    /// </summary>
    public long ChangeLogBytes { get; set; } = 64L << 20;

    /// <summary>A transaction is passed on in parts of about so many changes, 1 to 1,000,000. Default: 5,000.</summary>
    public int MaxChangesPerPart { get; set; } = 5_000;

    /// <summary>The largest frame sent or accepted, 64 KiB to 1 GiB; it bounds the largest row. Default: 256 MiB.</summary>
    public int MaxFrameBytes { get; set; } = 256 << 20;

    /// <summary>
    /// Whether transactions are compressed on the way from and to peers that <see cref="CompressionOf"/> does not name. A stream is compressed where the receiver
    /// asks for it and the sender does not refuse; nodes need not agree. Default: <see cref="FrameCompression.Auto"/>.
    /// </summary>
    public FrameCompression Compression { get; set; } = FrameCompression.Auto;

    /// <summary>The same for single peers, by name.</summary>
    public IDictionary<string, FrameCompression> CompressionOf { get; } = new Dictionary<string, FrameCompression>(StringComparer.Ordinal);

    /// <summary>The resolver of tables without one of their own (and without delta columns); null for last update wins. Default: null.</summary>
    public IConflictResolver? DefaultResolver { get; set; }

    /// <summary>The newest protocol that is spoken: tests hold a node back by it.</summary>
    internal int NewestProtocol { get; set; } = Transport.Handshake.MaxProtocol;

    internal bool SendsCompressedTo(NodeName peer) => CompressionWith(peer) != FrameCompression.None;

    /// <summary>On loopback the processor pays more than the line.</summary>
    internal bool TakesCompressedFrom(NodeName peer, Uri address) => CompressionWith(peer) switch
    {
        FrameCompression.None => false,
        FrameCompression.Always => true,
        _ => !address.IsLoopback,
    };

    private FrameCompression CompressionWith(NodeName peer) => CompressionOf.TryGetValue(peer.Value, out var own) ? own : Compression;
}
