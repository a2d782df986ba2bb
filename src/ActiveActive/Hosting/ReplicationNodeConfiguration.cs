using System.Globalization;
using System.Security.Cryptography;
using ActiveActive.Credentials;
using Microsoft.Extensions.Configuration;

namespace ActiveActive.Hosting;

/// <summary>
/// Binds <see cref="ReplicationNodeOptions"/> from a configuration section by hand: a key that is not known is an error (a typing
/// mistake must not change what replicates), and no reflection is needed.
/// </summary>
internal static class ReplicationNodeConfiguration
{
    public static void Bind(IConfiguration section, ReplicationNodeOptions options)
    {
        foreach (var entry in section.GetChildren())
        {
            switch (entry.Key.ToUpperInvariant())
            {
                case "NAME": options.Name = entry.Value; break;
                case "CONNECTIONSTRING": options.ConnectionString = entry.Value; break;
                case "SHAREDTOKEN": options.SharedToken = entry.Value; break;
                case "ACCEPTEDSHAREDTOKENS": AddAll(entry, options.AcceptedSharedTokens); break;
                case "OWNTOKEN": options.OwnToken = Constant(entry); break;
                case "OWNCERTIFICATE": options.OwnCertificateFile = BindCertificate(entry); break;
                case "TRUSTEDAUTHORITIES": BindAuthorities(entry, options); break;
                case "ALLOWPLAINTEXT": options.AllowPlaintext = Parse<bool>(entry); break;
                case "PATH": options.Path = entry.Value ?? ""; break;
                case "PEERS": BindPeers(entry, options); break;
                case "JOINFROM": options.JoinFrom = entry.Value; break;
                case "JOINPARALLELISM": options.JoinParallelism = Parse<int>(entry); break;
                case "TABLES": BindTables(entry, options); break;
                case "ONAPPLYERROR": options.OnApplyError = ParsePolicy<ApplyErrorPolicy>(entry); break;
                case "CONFLICTRETENTION": options.ConflictRetention = Parse<TimeSpan>(entry); break;
                case "HEARTBEATINTERVAL": options.HeartbeatInterval = Parse<TimeSpan>(entry); break;
                case "RECONNECTDELAY": options.ReconnectDelay = Parse<TimeSpan>(entry); break;
                case "MAXRECONNECTDELAY": options.MaxReconnectDelay = Parse<TimeSpan>(entry); break;
                case "LEADERTIMEOUT": options.LeaderTimeout = Parse<TimeSpan>(entry); break;
                case "RELAYAFTER": options.RelayAfter = Parse<TimeSpan>(entry); break;
                case "WALBUDGET": options.WalBudget = Parse<long>(entry); break;
                case "PARTAFTER": options.PartAfter = Parse<TimeSpan>(entry); break;
                case "ORPHANCHECKINTERVAL": options.OrphanCheckInterval = Parse<TimeSpan>(entry); break;
                case "MAXCLOCKSKEW": options.MaxClockSkew = Parse<TimeSpan>(entry); break;
                case "CHANGELOGBYTES": options.ChangeLogBytes = Parse<long>(entry); break;
                case "MAXCHANGESPERPART": options.MaxChangesPerPart = Parse<int>(entry); break;
                case "MAXFRAMEBYTES": options.MaxFrameBytes = Parse<int>(entry); break;
                case "COMPRESSION": BindCompression(entry, options); break;
                default: throw Unknown(entry);
            }
        }
    }

    // Either "None", or { "*": "Auto", "us": "None" }.
    private static void BindCompression(IConfigurationSection section, ReplicationNodeOptions options)
    {
        if (section.Value is not null) options.Compression = ParsePolicy<FrameCompression>(section);
        foreach (var entry in section.GetChildren())
        {
            if (entry.Key == "*") options.Compression = ParsePolicy<FrameCompression>(entry);
            else options.CompressionOf[entry.Key] = ParsePolicy<FrameCompression>(entry);
        }
    }

    private static void BindPeers(IConfigurationSection section, ReplicationNodeOptions options)
    {
        foreach (var entry in section.GetChildren())
        {
            // "us": "https://us.example.com", or "us": ["https://us-1.example.com", "https://us-2.example.com"], or "us": { "Address": (either), "Certificates": [ … ], "Tokens": [ … ] }.
            if (!options.Peers.TryGetValue(entry.Key, out var peer)) options.Peers[entry.Key] = peer = new PeerOptions();
            if (BindAddresses(entry, peer)) continue;
            foreach (var setting in entry.GetChildren())
            {
                switch (setting.Key.ToUpperInvariant())
                {
                    case "ADDRESS": BindAddresses(setting, peer); break;
                    case "CERTIFICATES": AddAll(setting, peer.Certificates); break;
                    case "TOKENS": AddAll(setting, peer.Tokens); break;
                    case "OWNTOKEN": peer.OwnToken = Constant(setting); break;
                    case "ALLOWPLAINTEXT": peer.AllowPlaintext = Parse<bool>(setting); break;
                    default: throw Unknown(setting);
                }
            }
        }
    }

    /// <summary>One address, or a list of them; false where the section is neither.</summary>
    private static bool BindAddresses(IConfigurationSection section, PeerOptions peer)
    {
        List<IConfigurationSection> entries = string.IsNullOrEmpty(section.Value) ? [.. section.GetChildren()] : [section];
        if (entries.Count == 0 || (entries[0] != section && !entries.TrueForAll(static e => int.TryParse(e.Key, out _)))) return false;
        peer.Addresses.Clear();
        foreach (var entry in entries) peer.Addresses.Add(ParseAddress(entry));
        return true;
    }

    private static CertificateFile BindCertificate(IConfigurationSection section)
    {
        string? path = section.Value, keyPath = null, password = null;
        foreach (var entry in section.GetChildren())
        {
            switch (entry.Key.ToUpperInvariant())
            {
                case "PATH": path = entry.Value; break;
                case "KEYPATH": keyPath = entry.Value; break;
                case "PASSWORD": password = entry.Value; break;
                default: throw Unknown(entry);
            }
        }

        return new CertificateFile(path ?? "", keyPath, password);
    }

    private static void BindAuthorities(IConfigurationSection section, ReplicationNodeOptions options)
    {
        List<string> paths = [];
        AddAll(section, paths);
        foreach (var path in paths)
        {
            try
            {
                options.TrustedAuthorities.ImportFromPemFile(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
            {
                throw new FormatException($"Configuration '{section.Path}': no certificates can be read from '{path}' as PEM: {e.Message}", e);
            }
        }
    }

    // The value may be a secret: no message shows it.
    private static Uri ParseAddress(IConfigurationSection entry) => Uri.TryCreate(entry.Value, UriKind.Absolute, out var address) ? address
        : throw new FormatException($"Configuration '{entry.Path}' is not an absolute address such as https://us.example.com.");

    private static Func<string> Constant(IConfigurationSection entry)
    {
        var value = entry.Value ?? "";
        return () => value;
    }

    /// <summary>A list, or a single value in its place.</summary>
    private static void AddAll(IConfigurationSection section, ICollection<string> list)
    {
        if (!string.IsNullOrEmpty(section.Value)) list.Add(section.Value);
        foreach (var entry in section.GetChildren()) list.Add(entry.Value ?? "");
    }

    private static void BindTables(IConfigurationSection section, ReplicationNodeOptions options)
    {
        foreach (var table in section.GetChildren())
        {
            // Either ["public.*"] or [{ "Pattern": "public.accounts", "DeltaColumns": ["balance"] }].
            var rule = new TableRule { Pattern = table.Value ?? "" };
            foreach (var entry in table.GetChildren())
            {
                switch (entry.Key.ToUpperInvariant())
                {
                    case "PATTERN": rule.Pattern = entry.Value ?? ""; break;
                    case "EXCLUDE": rule.Exclude = Parse<bool>(entry); break;
                    case "ALLOWSEQUENCEKEYS": rule.AllowSequenceKeys = Parse<bool>(entry); break;
                    case "ONAPPLYERROR": rule.OnApplyError = ParsePolicy<ApplyErrorPolicy>(entry); break;
                    case "ONLYON": AddAll(entry, rule.OnlyOn); break;
                    case "RESIDENCY": rule.Residency = BindResidency(entry); break;
                    case "ONORPHAN": BindOrphans(entry, rule); break;
                    case "DELTACOLUMNS":
                        foreach (var column in entry.GetChildren()) rule.DeltaColumns.Add(column.Value ?? "");
                        break;
                    default: throw Unknown(entry);
                }
            }

            options.Tables.Add(rule);
        }
    }

    // { "Column": "country", "Regions": { "DE": ["eu-1", "eu-2"] }, "Elsewhere": ["us"] }.
    private static Residency BindResidency(IConfigurationSection section)
    {
        var residency = new Residency(section["Column"] ?? "");
        foreach (var entry in section.GetChildren())
        {
            switch (entry.Key.ToUpperInvariant())
            {
                case "COLUMN": break;
                case "ELSEWHERE": AddAll(entry, residency.Rest); break;
                case "REGIONS":
                    foreach (var region in entry.GetChildren()) AddAll(region, residency.Regions[region.Key] = []);
                    break;
                default: throw Unknown(entry);
            }
        }

        return residency;
    }

    // Either "SetNull", or { "*": "Keep", "customer_id": "SetNull" }.
    private static void BindOrphans(IConfigurationSection section, TableRule rule)
    {
        if (section.Value is not null) rule.OnOrphan = ParsePolicy<OrphanPolicy>(section);
        foreach (var entry in section.GetChildren())
        {
            if (entry.Key == "*") rule.OnOrphan = ParsePolicy<OrphanPolicy>(entry);
            else rule.OnOrphanOf[entry.Key] = ParsePolicy<OrphanPolicy>(entry);
        }
    }

    private static T Parse<T>(IConfigurationSection entry) where T : IParsable<T> =>
        T.TryParse(entry.Value, CultureInfo.InvariantCulture, out var value) ? value
            : throw new FormatException($"Configuration '{entry.Path}': '{entry.Value}' is not a {typeof(T).Name}.");

    private static T ParsePolicy<T>(IConfigurationSection entry) where T : struct, Enum =>
        Enum.TryParse<T>(entry.Value, ignoreCase: true, out var policy) && Enum.IsDefined(policy) ? policy
            : throw new FormatException($"Configuration '{entry.Path}': '{entry.Value}' is not a policy. Use {string.Join(" or ", Enum.GetNames<T>())}.");

    private static FormatException Unknown(IConfigurationSection entry) =>
        new($"Configuration '{entry.Path}' is not a setting of ActiveActive. Check its spelling against ReplicationNodeOptions.");
}
