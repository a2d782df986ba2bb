using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Routes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>Who a node is and what it requires of a peer. The checks are pure: a hello and this give a welcome or a refusal.</summary>
internal sealed record Handshake(
    NodeName Self, DatabaseIdentity Identity, IReadOnlyCollection<NodeName> Peers, IReadOnlyList<KeyValuePair<string, string>> Settings)
{
    /// <summary>Nodes that the options name and that are no members: they may join.</summary>
    public IReadOnlyCollection<NodeName> Expected { get; init; } = [];

    /// <summary>Nodes that are being parted, or were.</summary>
    public IReadOnlyList<Member> Leaving { get; init; } = [];

    /// <summary>The refusal of a node that has been parted.</summary>
    public const string PartedCode = "AA3085";

    /// <summary>Which nodes hold which tables.</summary>
    public TableRoutes Routes { get; init; } = TableRoutes.None;

    public const int MinProtocol = 1;
    public const int MaxProtocol = 2;

    /// <summary>The first protocol with named features.</summary>
    public const int FeatureProtocol = 2;

    /// <summary>The feature of frames that carry transactions compressed by Brotli.</summary>
    public const string Brotli = "brotli";

    /// <summary>The newest protocol that this node speaks; an older one than <see cref="MaxProtocol"/> in tests.</summary>
    public int NewestProtocol { get; init; } = MaxProtocol;

    /// <summary>Whether transactions are sent compressed to a node that takes them so.</summary>
    public Func<NodeName, bool> Compresses { get; init; } = static _ => false;

    /// <summary>What a dialler says.</summary>
    /// <param name="to">The peer that it dials.</param>
    /// <param name="origin">Whose transactions it wants.</param>
    /// <param name="resumeAfter">The last that it has.</param>
    /// <param name="purpose">What the connection is for.</param>
    /// <param name="takesCompressed">Whether the answer may be compressed.</param>
    public HelloFrame Hello(NodeName to, NodeName origin, NpgsqlLogSequenceNumber resumeAfter, HelloPurpose purpose, bool takesCompressed) =>
        new(MinProtocol, NewestProtocol, Self, to, origin, Identity, Settings, resumeAfter, purpose, NewestProtocol < FeatureProtocol ? null : takesCompressed ? [Brotli, PeerIntroduction.Feature] : [PeerIntroduction.Feature]);

    /// <param name="hello">What the dialler says.</param>
    /// <param name="connected">The database of the node that is connected under the dialler's name; null where none is.</param>
    /// <param name="extent">Which of the origin's transactions can be sent.</param>
    public Frame Answer(HelloFrame hello, DatabaseIdentity? connected = null, LogExtent extent = default)
    {
        if (Refusal(hello) is { } refusal) return refusal;
        if (connected is not null && connected.Incarnation != hello.Identity.Incarnation) return TwoNodes(hello.From);
        if (hello.Origin != Self && hello.Purpose == HelloPurpose.Changes && hello.ResumeAfter < extent.Forgotten)
        {
            return new RefuseFrame("AA3048", $"Node '{Self}' can't relay transactions of '{hello.Origin}' after {hello.ResumeAfter}: those up to {extent.Forgotten} came with the copy of its data when it joined, or every member had them. Another node that has applied them can.");
        }

        if (hello.Origin != Self && hello.Purpose == HelloPurpose.Changes && LackingOf(Routes, Self, hello.From, hello.Origin) is { } lacking)
        {
            return new RefuseFrame("AA3061", $"Node '{Self}' can't relay transactions of '{hello.Origin}' to '{hello.From}': it does not hold the tables of rule '{lacking}', which they both do. Another node that holds them can, or '{hello.Origin}' itself once it is back.");
        }

        if (hello.Purpose == HelloPurpose.Copy && Routes.FindLacking(Self, hello.From, hello.From) is { } missing)
        {
            return new RefuseFrame("AA3063", $"Node '{hello.From}' can't get its data from node '{Self}', which does not hold the tables of rule '{missing}'. Name another one with JoinFrom(…).");
        }

        if (hello.Purpose is HelloPurpose.Copy or HelloPurpose.Join && Routes.FindPartial(hello.From) is { } partial)
        {
            return new RefuseFrame("AA3066", $"Node '{hello.From}' holds some rows only of the tables of rule '{partial}' (Residency), and such a node can't join yet. Name it in every region, or let it be a node from the start.");
        }

        if (hello.Purpose is HelloPurpose.Changes or HelloPurpose.Rows && hello.ResumeAfter < extent.Forgotten)
        {
            return new RefuseFrame("AA3007",
                $"Node '{hello.From}' asks node '{Self}' to go on after {hello.Origin} {hello.ResumeAfter}, but '{Self}' no longer has the log up to {extent.Forgotten}, which '{hello.From}' had applied before: "
                + $"'{hello.From}' was restored, cloned or set up anew. Nothing is sent, so that nothing is skipped: copy the data and set that node up again while no node writes.");
        }

        var protocol = Math.Min(NewestProtocol, hello.MaxProtocol);
        return new WelcomeFrame(protocol, Self, Identity, extent.Reach, protocol < FeatureProtocol ? null : [.. FeaturesFor(hello)]);
    }

    /// <summary>What a dialler says of itself; whether it is let in is another matter.</summary>
    public PeerIntroduction Introduce(HelloFrame hello)
    {
        var protocol = Math.Min(NewestProtocol, hello.MaxProtocol);
        return new PeerIntroduction(
            protocol < Math.Max(MinProtocol, hello.MinProtocol) ? null : protocol, PeerIntroduction.VersionIn(hello.Features), hello.Identity.ServerVersion, ClusterSettings.Differences(Self, Settings, hello.From, hello.Settings));
    }

    /// <summary>The pattern of tables for which one node can't relay an origin's transactions to another; null where it can. What it received lacks the rows of tables that it does not hold.</summary>
    public static string? LackingOf(TableRoutes routes, NodeName relayer, NodeName to, NodeName origin) =>
        Safeguards.IsOff(Safeguard.RelayOfWholeRoutes) ? null : routes.FindLacking(relayer, to, origin);

    /// <summary>The answer to a peer that has applied what this node's log does not hold.</summary>
    public RefuseFrame RefuseRewound(HelloFrame hello) => new("AA3014",
        $"Node '{hello.From}' has applied '{Self}' {hello.ResumeAfter}, which is not in the log of '{Self}': '{Self}' was restored from a backup, or its server lost what it had written. What it writes now stands where other transactions stood, "
        + $"so nothing is sent: copy the data of another node and set '{Self}' up anew (DROP SCHEMA active_active CASCADE there), under a name of its own.");

    /// <summary>The dialler's own check of the answer.</summary>
    public void Accept(WelcomeFrame welcome, HelloFrame hello)
    {
        var expected = hello.To;
        if (welcome.Protocol < hello.MinProtocol || welcome.Protocol > hello.MaxProtocol)
        {
            throw new ReplicationException(ReplicationErrorKind.PeerRefused,
                $"AA3001: node '{welcome.From}' answers with protocol {welcome.Protocol}, node '{Self}' speaks {hello.MinProtocol} to {hello.MaxProtocol}. Bring the older library to an adjacent version.");
        }

        if (welcome.Features?.FirstOrDefault(f => hello.Features?.Contains(f) != true) is { } feature)
            throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Node '{welcome.From}' uses the feature '{feature}', which node '{Self}' did not offer.");
        if (welcome.From != expected)
        {
            throw new ReplicationException(ReplicationErrorKind.PeerRefused,
                $"The address of peer '{expected}' answers as node '{welcome.From}'. Mend the address in AddPeer(\"{expected}\", …) on node '{Self}'.");
        }

        if (IsSameDatabase(welcome.Identity)) throw new ReplicationException(ReplicationErrorKind.PeerRefused, SameDatabase(expected));
    }

    private RefuseFrame? Refusal(HelloFrame hello)
    {
        if (hello.MinProtocol > NewestProtocol || hello.MaxProtocol < MinProtocol)
        {
            return new("AA3001", $"Node '{hello.From}' speaks protocol {hello.MinProtocol} to {hello.MaxProtocol}, node '{Self}' {MinProtocol} to {NewestProtocol}. Bring the older library to an adjacent version.");
        }

        // Before the address: a node that took another's name is what the mismatch comes from.
        if (hello.From == Self && !IsSameDatabase(hello.Identity)) return TwoNodes(Self);
        if (hello.To != Self) return new("AA3002", $"Node '{hello.From}' dialled '{hello.To}' and reached '{Self}'. Mend the address in AddPeer(\"{hello.To}\", …) on node '{hello.From}'.");
        if (Expected.Contains(hello.From) && hello.Purpose != HelloPurpose.Join)
        {
            return new("AA3041", $"Node '{hello.From}' is expected to join the cluster, and was set up by itself: whether it has the same data is not known. Start it on an empty database with JoinFrom(\"{Self}\").");
        }

        // One that has been parted may join again, once the others have what there is of it.
        if (Leaving.FirstOrDefault(m => m.Name == hello.From) is { } left && (hello.Purpose != HelloPurpose.Join || left.State == MemberState.Parting))
        {
            return new(PartedCode, $"Node '{hello.From}' has been parted from the cluster, as node '{Self}' knows it ({left.Reason}): the others have written without it since, and nothing is taken from it. To bring it back, get it the data of another node: ResyncAsync(\"{Self}\") there.");
        }

        if (!Peers.Contains(hello.From) && !Expected.Contains(hello.From) && !IsLeaving(hello.From)) return new("AA3004", $"Node '{Self}' knows no peer '{hello.From}'. Add it there with AddPeer(\"{hello.From}\", …).");
        if ((hello.Origin == hello.From && hello.Purpose != HelloPurpose.Join) || (hello.Origin != Self && hello.Origin != hello.From && !Peers.Contains(hello.Origin) && !IsLeaving(hello.Origin)))
            return new("AA3009", $"Node '{hello.From}' asks node '{Self}' for the transactions of '{hello.Origin}', which is no peer of '{Self}'. Every node lists all others with AddPeer.");
        if (IsSameDatabase(hello.Identity)) return new("AA3005", SameDatabase(hello.From));
        var differences = ClusterSettings.Differences(Self, Settings, hello.From, hello.Settings);
        return differences.Count == 0 ? null
            : new("AA3006", $"The options of nodes '{Self}' and '{hello.From}' disagree: {string.Join("; ", differences)}. Make them equal on every node.");
    }

    /// <summary>Of what the dialler understands; what is not known here is passed over.</summary>
    private IEnumerable<string> FeaturesFor(HelloFrame hello)
    {
        if (hello is { Purpose: HelloPurpose.Changes, Features: { } features } && features.Contains(Brotli) && Compresses(hello.From)) yield return Brotli;
    }

    private bool IsLeaving(NodeName node) => Leaving.Any(m => m.Name == node);

    private RefuseFrame TwoNodes(NodeName name) =>
        new("AA3003", $"Two nodes are named '{name}', as node '{Self}' sees them: they live in different databases. Give each node its own name with Named(…).");

    private bool IsSameDatabase(DatabaseIdentity other) =>
        other.Incarnation == Identity.Incarnation
        || (other.SystemIdentifier == Identity.SystemIdentifier && other.DatabaseOid == Identity.DatabaseOid);

    private string SameDatabase(NodeName other) =>
        $"Nodes '{Self}' and '{other}' live in the same database, or one is a copy of the other. Each node needs a database of its own; a copied one is set up anew (DROP SCHEMA active_active CASCADE on the copy).";
}

/// <summary>Which of an origin's transactions a node can send.</summary>
/// <param name="Forgotten">The last one that can't be read again: every peer was known to have it.</param>
/// <param name="Reach">The last one that the node has.</param>
internal readonly record struct LogExtent(NpgsqlLogSequenceNumber Forgotten, NpgsqlLogSequenceNumber Reach);
