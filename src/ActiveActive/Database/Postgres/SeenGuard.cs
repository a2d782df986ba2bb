using System.Globalization;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary><see cref="SeenRows"/> as a condition on a row.</summary>
/// <param name="seen">What counts as seen.</param>
/// <param name="originIdentifier">What rows of its origin show.</param>
/// <param name="files">Files of rewritten tables whose rows show their writers (adr/0020).</param>
internal sealed class SeenGuard(SeenRows seen, string originIdentifier, IReadOnlyCollection<uint> files)
{
    /// <summary>Two texts, so that the usual one need not ask for the stamp of every row.</summary>
    public bool HasUnseen => seen.Unseen.Count > 0;

    /// <param name="first">The number of its first parameter.</param>
    public string Sql(int first)
    {
        var older = $"age(t.xmin) > (SELECT age(${first}::text::xid))";
        if (HasUnseen) older = $"({older} AND COALESCE((pg_xact_commit_timestamp_origin(t.xmin)).\"timestamp\" <> ALL (${first + 3}::text[]::timestamptz[]), age(t.xmin) > (SELECT age(${first + 4}::text::xid))))";
        var file = Safeguards.IsOff(Safeguard.KnownFiles) ? "true" : $"(pg_relation_filenode(t.tableoid) = t.tableoid OR pg_relation_filenode(t.tableoid) = ANY(${first + 2}::text[]::oid[]))";
        return $"{file} AND ({older} OR t.xmin = pg_current_xact_id_if_assigned()::xid OR (pg_xact_commit_timestamp_origin(t.xmin)).roident = ${first + 1})";
    }

    public IEnumerable<NpgsqlParameter> Parameters()
    {
        yield return SqlParameters.Text(seen.Horizon.ToString(CultureInfo.InvariantCulture));
        yield return new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Oid, Value = uint.Parse(originIdentifier, CultureInfo.InvariantCulture) };
        yield return SqlParameters.Texts([.. files.Select(static f => f.ToString(CultureInfo.InvariantCulture))]);
        if (!HasUnseen) yield break;
        yield return SqlParameters.Texts([.. seen.Unseen.Select(static u => VersionSql.Text(u.Stamp))]);
        yield return VersionSql.Horizon(ShownVersion.OldestOf(seen.Unseen));
    }
}
