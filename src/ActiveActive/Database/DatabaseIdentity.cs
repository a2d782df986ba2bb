namespace ActiveActive.Database;

/// <summary>Which database a node lives in. A restored or cloned database is told apart by <see cref="Incarnation"/>'s owner fields.</summary>
/// <param name="SystemIdentifier">The server's system identifier (<c>IDENTIFY_SYSTEM</c>).</param>
/// <param name="Timeline">The server's WAL timeline.</param>
/// <param name="DatabaseOid">The database's OID.</param>
/// <param name="Incarnation">Made when the node was set up; stored in <c>active_active.node</c>.</param>
/// <param name="ServerVersion">For example 180004 (<c>server_version_num</c>); 0 in memory.</param>
internal sealed record DatabaseIdentity(ulong SystemIdentifier, uint Timeline, uint DatabaseOid, Guid Incarnation, int ServerVersion);
