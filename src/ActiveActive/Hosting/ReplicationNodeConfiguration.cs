using System.Globalization;
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
                case "RELAYAFTER": options.RelayAfter = Parse<TimeSpan>(entry); break;
                case "ORPHANCHECKINTERVAL": options.OrphanCheckInterval = Parse<TimeSpan>(entry); break;
                case "MAXCLOCKSKEW": options.MaxClockSkew = Parse<TimeSpan>(entry); break;
                case "CHANGELOGBYTES": options.ChangeLogBytes = Parse<long>(entry); break;
                case "MAXCHANGESPERPART": options.MaxChangesPerPart = Parse<int>(entry); break;
                case "MAXFRAMEBYTES": options.MaxFrameBytes = Parse<int>(entry); break;
                default: throw Unknown(entry);
            }
        }
    }

    private static void BindPeers(IConfigurationSection section, ReplicationNodeOptions options)
    {
        foreach (var peer in section.GetChildren())
        {
            options.Peers[peer.Key] = Uri.TryCreate(peer.Value, UriKind.Absolute, out var address) ? address
                : throw new FormatException($"Configuration '{peer.Path}': '{peer.Value}' is not an absolute address such as https://us.example.com.");
        }
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
