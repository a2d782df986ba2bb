using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>A message of the peer protocol. The dialling side (the receiver of changes) opens with Hello.</summary>
internal abstract record Frame;

/// <summary>Dialler → sender: who I am, what I speak, where I go on.</summary>
/// <param name="MinProtocol">The oldest protocol version that the dialler speaks.</param>
/// <param name="MaxProtocol">The newest one.</param>
/// <param name="From">The dialler.</param>
/// <param name="To">Whom it means to reach.</param>
/// <param name="Origin">Whose transactions it wants: <paramref name="To"/>'s own, or another node's, which can't be reached.</param>
/// <param name="Identity">The dialler's database.</param>
/// <param name="Settings">Settings that must agree, by name (see <c>ClusterSettings</c>).</param>
/// <param name="ResumeAfter">The last transaction of the origin that the dialler has durably applied; zero for none.</param>
/// <param name="Purpose">What the connection is for.</param>
/// <param name="Features">Names of the features that the dialler understands; null before protocol 2, and none goes over the wire then.</param>
internal sealed record HelloFrame(
    int MinProtocol, int MaxProtocol, NodeName From, NodeName To, NodeName Origin, DatabaseIdentity Identity,
    IReadOnlyList<KeyValuePair<string, string>> Settings, NpgsqlLogSequenceNumber ResumeAfter, HelloPurpose Purpose = HelloPurpose.Changes,
    IReadOnlyList<string>? Features = null) : Frame;

/// <summary>What a peer dials for.</summary>
internal enum HelloPurpose
{
    /// <summary>The stream of changes.</summary>
    Changes = 0,

    /// <summary>Rows that a transaction of the sender left partly unchanged: one request, one answer for each row.</summary>
    Rows = 1,

    /// <summary>To become a member: the answer is a <see cref="MembersFrame"/>.</summary>
    Join = 2,

    /// <summary>A copy of the data: see <see cref="SnapshotRequestFrame"/>.</summary>
    Copy = 3,

    /// <summary>That the node which the hello calls the origin is a member no more: the welcome says how much of it the answering node has, and nothing more of it is taken there.</summary>
    Part = 4,
}

/// <summary>Sender → dialler: accepted; changes follow.</summary>
/// <param name="Protocol">The version spoken from here on.</param>
/// <param name="From">The sender.</param>
/// <param name="Identity">Its database.</param>
/// <param name="Reach">The last transaction of the hello's origin that it has: a relayed stream ends there.</param>
/// <param name="Features">Which of the hello's features it uses on this connection; null before protocol 2.</param>
internal sealed record WelcomeFrame(int Protocol, NodeName From, DatabaseIdentity Identity, NpgsqlLogSequenceNumber Reach, IReadOnlyList<string>? Features = null) : Frame;

/// <summary>Either way: no, with a stable code and a sentence that names the thing and the fix. The connection ends.</summary>
internal sealed record RefuseFrame(string Code, string Message) : Frame;

/// <summary>Sender → dialler: a table that following transactions refer to by number.</summary>
internal sealed record RelationFrame(int Id, Relation Relation) : Frame;

/// <summary>Sender → dialler: a transaction, a part of one, or a heartbeat.</summary>
internal sealed record TransactionFrame(ChangeTransaction Transaction) : Frame;

/// <summary>Dialler → sender: the secondary unique keys of my tables. Sent first, and again when they are others.</summary>
internal sealed record UniqueKeysFrame(IReadOnlyList<UniqueKey> Keys) : Frame;

/// <summary>Dialler → sender: everything up to this position is durably applied.</summary>
internal sealed record AckFrame(NpgsqlLogSequenceNumber Position) : Frame;

/// <summary>Either way: still here, nothing to say yet. A dialler sends it in a rhythm, a sender during a long catch-up read.</summary>
internal sealed record PingFrame : Frame;

/// <summary>Dialler → sender: the rows under these keys, as your transaction left them.</summary>
/// <param name="Position">The transaction.</param>
/// <param name="Rows">The keys.</param>
internal sealed record RowRequestFrame(NpgsqlLogSequenceNumber Position, IReadOnlyList<RowToFetch> Rows) : Frame;

/// <summary>Sender → dialler: what stands under the next key asked for.</summary>
internal sealed record RowFrame(FetchedRow Row) : Frame;
