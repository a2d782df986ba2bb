using System.Text;
using ActiveActive.Credentials;
using ActiveActive.Routes;
using ActiveActive.Transport;
using Npgsql;

namespace ActiveActive.Hosting;

/// <summary>Checks the options before anything starts: all problems at once. What only the database can tell, set-up checks.</summary>
internal static class ReplicationNodeOptionsValidator
{
    public static IReadOnlyList<string> Validate(ReplicationNodeOptions options)
    {
        var problems = new List<string>();
        if (!NodeName.IsValid(options.Name))
        {
            problems.Add($"Name '{options.Name}' is not a node name: use Named(…) with 1 to {NodeName.MaxLength} lower-case letters, digits, '-' or '_', a letter first.");
        }

        CheckConnection(options, problems);
        CheckPeers(options, problems);
        CheckTables(options, problems);
        CheckCompression(options, problems);
        CheckTokens(options, problems);
        if (options.OwnCertificateFile is { Path: "" }) problems.Add("OwnCertificate has no Path: name the file with the certificate.");
        if (!options.Path.StartsWith('/') || options.Path.Length < 2) problems.Add($"Path '{options.Path}' must start with '/' and name something.");
        Range(problems, nameof(options.ConflictRetention), options.ConflictRetention, TimeSpan.FromMinutes(1), TimeSpan.FromDays(36_500));
        Range(problems, nameof(options.HeartbeatInterval), options.HeartbeatInterval, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1));
        Range(problems, nameof(options.ReconnectDelay), options.ReconnectDelay, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1));
        Range(problems, nameof(options.MaxReconnectDelay), options.MaxReconnectDelay, options.ReconnectDelay, TimeSpan.FromMinutes(10));
        Range(problems, nameof(options.LeaderTimeout), options.LeaderTimeout, TimeSpan.FromSeconds(2), TimeSpan.FromMinutes(5));
        Range(problems, nameof(options.RelayAfter), options.RelayAfter, TimeSpan.Zero, TimeSpan.FromHours(1));
        if (options.WalBudget != 0) Range(problems, nameof(options.WalBudget), options.WalBudget, 1L, 1L << 60);
        if (options.PartAfter != TimeSpan.Zero) Range(problems, nameof(options.PartAfter), options.PartAfter, TimeSpan.FromMinutes(1), TimeSpan.FromDays(3650));
        if (options.OrphanCheckInterval != TimeSpan.Zero) Range(problems, nameof(options.OrphanCheckInterval), options.OrphanCheckInterval, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1));
        if (options.JoinFrom is { } donor && !options.Peers.ContainsKey(donor)) problems.Add($"JoinFrom names '{donor}', which is no peer: add it with AddPeer(\"{donor}\", …).");
        Range(problems, nameof(options.JoinParallelism), options.JoinParallelism, 1, 16);
        Range(problems, nameof(options.MaxClockSkew), options.MaxClockSkew, TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(1));
        Range(problems, nameof(options.ChangeLogBytes), options.ChangeLogBytes, 1L << 20, 16L << 30);
        Range(problems, nameof(options.MaxChangesPerPart), options.MaxChangesPerPart, 1, 1_000_000);
        Range(problems, nameof(options.MaxFrameBytes), options.MaxFrameBytes, 64 << 10, 1 << 30);
        return problems;
    }

    private static void CheckConnection(ReplicationNodeOptions options, List<string> problems)
    {
        if (string.IsNullOrWhiteSpace(options.ConnectionString))
        {
            problems.Add("ConnectionString is missing: name the local database with UsePostgres(…).");
            return;
        }

        try
        {
            var builder = new NpgsqlConnectionStringBuilder(options.ConnectionString);
            if (string.IsNullOrEmpty(builder.Host)) problems.Add("ConnectionString names no Host.");
            if (string.IsNullOrEmpty(builder.Database)) problems.Add("ConnectionString names no Database.");
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            problems.Add($"ConnectionString can't be read: {e.Message}");
        }
    }

    private static void CheckPeers(ReplicationNodeOptions options, List<string> problems)
    {
        foreach (var (name, peer) in options.Peers)
        {
            if (!NodeName.IsValid(name)) problems.Add($"Peer name '{name}' is not a node name.");
            if (name == options.Name) problems.Add($"Node '{name}' names itself as a peer. Leave it out.");
            if (peer.Addresses.Count == 0) problems.Add($"Peer '{name}' has no address.");
            foreach (var address in peer.Addresses) CheckAddress(name, address, peer, options, problems);
            foreach (var entry in peer.Certificates)
            {
                if (!CertificateEntry.TryParse(entry, out _, out var problem)) problems.Add($"Certificates of peer '{name}': {problem}");
            }
        }
    }

    private static void CheckCompression(ReplicationNodeOptions options, List<string> problems)
    {
        foreach (var (name, compression) in options.CompressionOf.Append(new("*", options.Compression)))
        {
            if (!Enum.IsDefined(compression)) problems.Add($"Compression {(int)compression} of '{name}' is none: use {string.Join(", ", Enum.GetNames<FrameCompression>())}.");
            if (name != "*" && !options.Peers.ContainsKey(name)) problems.Add($"CompressionOf names '{name}', which is no peer. Peers: {string.Join(", ", options.Peers.Keys)}.");
        }
    }

    private static void CheckAddress(string name, Uri? address, PeerOptions peer, ReplicationNodeOptions options, List<string> problems)
    {
        if (address is null || !address.IsAbsoluteUri || (address.Scheme != Uri.UriSchemeHttp && address.Scheme != Uri.UriSchemeHttps))
        {
            problems.Add($"The address of peer '{name}' must be an absolute http or https address.");
            return;
        }

        if (address.UserInfo.Length > 0) problems.Add($"The address of peer '{name}' has a user or password in it. Take it out: peers show tokens or certificates.");
        if (address.IsLoopback) return;
        if (address.Scheme == Uri.UriSchemeHttp && !options.AllowPlaintext && !peer.AllowPlaintext)
        {
            problems.Add($"Peer '{name}' is not on loopback and its address is http: tokens and rows could be read on the way. Use https, or say so with AllowPlaintext where the network itself is encrypted.");
        }

        if (options.SharedToken is null && options.AcceptedSharedTokens.Count == 0 && peer.Certificates.Count == 0 && peer.Tokens.Count == 0)
        {
            problems.Add($"Peer '{name}' is not on loopback and has no credential: name its certificate or token in AddPeer(\"{name}\", …, peer => …), or set a secret that all nodes share with UseSharedToken(…).");
        }
    }

    private static void CheckTokens(ReplicationNodeOptions options, List<string> problems)
    {
        var all = new List<(string Where, string? Token)>();
        if (options.SharedToken is not null) all.Add(("SharedToken", options.SharedToken));
        all.AddRange(options.AcceptedSharedTokens.Select((t, i) => ($"AcceptedSharedTokens[{i}]", (string?)t)));
        foreach (var (name, peer) in options.Peers) all.AddRange(peer.Tokens.Select((t, i) => ($"Tokens[{i}] of peer '{name}'", (string?)t)));
        foreach (var (where, token) in all)
        {
            if (PeerToken.Problem(token) is { } problem) problems.Add($"{where} {problem}");
        }

        // One that speaks for two would prove neither. A token that a node lists twice for one peer does no harm.
        foreach (var same in all.GroupBy(t => t.Token, StringComparer.Ordinal).Select(g => g.Select(t => t.Where).ToList()).Where(g => g.Count > 1))
        {
            var owners = same.Select(where => where.Contains(" of ", StringComparison.Ordinal) ? where[where.IndexOf(" of ", StringComparison.Ordinal)..] : "").Distinct().ToList();
            if (owners.Count > 1) problems.Add($"{string.Join(" and ", same)} are the same token: give each peer one of its own.");
        }
    }

    private static void CheckTables(ReplicationNodeOptions options, List<string> problems)
    {
        if (!options.Tables.Any(r => !r.Exclude)) problems.Add("No table replicates: name some with Replicate(\"public.*\").");
        foreach (var rule in options.Tables)
        {
            if (string.IsNullOrWhiteSpace(rule.Pattern)) problems.Add("A table rule has no pattern.");
            else if (rule.DeltaColumns.Count > 0 && rule.Resolver is not null) problems.Add($"Rule '{rule.Pattern}' has delta columns and a resolver; choose one.");
            CheckRoute(rule, options, problems);
            if (rule.OnOrphanOf.Keys.Any(string.IsNullOrWhiteSpace)) problems.Add($"Rule '{rule.Pattern}' has an orphan policy for a foreign key without a name: name the constraint or its columns.");
        }
    }

    private static void CheckRoute(TableRule rule, ReplicationNodeOptions options, List<string> problems)
    {
        foreach (var node in rule.OnlyOn.Where(n => n != options.Name && !options.Peers.ContainsKey(n)))
        {
            problems.Add($"OnlyOn of rule '{rule.Pattern}' names '{node}', which is neither this node nor a peer: correct it, or add it with AddPeer(\"{node}\", …).");
        }

        if (rule.Residency is { } residency) CheckResidency(rule, residency, options, problems);
        if (options.JoinFrom is { } donor && rule.OnlyOn.Contains(options.Name ?? "") && !rule.OnlyOn.Contains(donor))
        {
            problems.Add($"JoinFrom names '{donor}', which does not hold the tables of rule '{rule.Pattern}', and this node does: name a peer that holds all tables that this node holds.");
        }
    }

    private static void CheckResidency(TableRule rule, Residency residency, ReplicationNodeOptions options, List<string> problems)
    {
        if (string.IsNullOrWhiteSpace(residency.Column)) problems.Add($"Residency of rule '{rule.Pattern}' names no column.");
        var unknown = residency.Regions.Values.Append(residency.Rest).SelectMany(static n => n).Distinct(StringComparer.Ordinal).Where(n => n != options.Name && !options.Peers.ContainsKey(n)).ToList();
        foreach (var node in unknown) problems.Add($"Residency of rule '{rule.Pattern}' names '{node}', which is neither this node nor a peer: correct it, or add it with AddPeer(\"{node}\", …).");
        foreach (var (region, _) in residency.Regions.Where(static r => r.Value.Count == 0)) problems.Add($"Region '{region}' of rule '{rule.Pattern}' names no node.");
        if (ClusterSettings.Of([rule], null).Any(static s => Encoding.UTF8.GetByteCount(s.Value) > FrameLimits.MaxSentenceBytes)) problems.Add($"Residency of rule '{rule.Pattern}' has too many regions: nodes compare it as one text of {FrameLimits.MaxSentenceBytes} bytes. Name those that most rows have by Elsewhere(…).");
        if (options.JoinFrom is not null && unknown.Count == 0 && NodeName.IsValid(options.Name) && !new RowRoute(residency).IsHome(new NodeName(options.Name)))
            problems.Add($"JoinFrom is set, and this node holds some rows only of the tables of rule '{rule.Pattern}': such a node can't join yet. Name it in every region, or let it be a node from the start.");
    }

    private static void Range<T>(List<string> problems, string name, T value, T least, T greatest) where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(greatest) > 0) problems.Add($"{name} is {value}; it must be from {least} to {greatest}.");
    }
}
