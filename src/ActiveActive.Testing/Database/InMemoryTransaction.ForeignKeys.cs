using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <content>Foreign keys (NO ACTION), as PostgreSQL's triggers check them: for the application, never for an applier.</content>
internal sealed partial class InMemoryTransaction
{
    /// <summary>As under <c>session_replication_role = replica</c>.</summary>
    internal bool IsReplica { get; set; }

    private bool ChecksForeignKeys => _isLocal && !IsReplica;

    /// <summary>The parents that a row newly names must be there, and are locked, so that they stay.</summary>
    private async ValueTask CheckParentsAsync(InMemoryTable table, ColumnValue[]? before, ColumnValue[] after, CancellationToken cancellationToken)
    {
        if (!ChecksForeignKeys) return;
        foreach (var key in table.ForeignKeys)
        {
            if (_server.ParentOf(key, after) is not { } parent || (before is not null && _server.ParentOf(key, before) == parent)) continue;
            if (await LockExistingAsync(_server.TableOf(key.Referenced), parent, cancellationToken) is not null) continue;
            throw Violates($"A row of {table.Definition.Name} names, by foreign key {key.Name}, a row of {key.Referenced} that does not exist.");
        }
    }

    /// <summary>No child may name a row that goes. A writer who is about to add one holds the row's lock.</summary>
    private void CheckChildren(InMemoryTable table, RowKey gone)
    {
        if (!ChecksForeignKeys) return;
        foreach (var child in _server.Tables)
        {
            foreach (var key in child.ForeignKeys)
            {
                if (key.Referenced != table.Definition.Name) continue;
                if (child.Cells.Any(cell => cell.SeenBy(this) is { } row && _server.ParentOf(key, row.Values) == gone))
                {
                    throw Violates($"A row of {child.Definition.Name} names, by foreign key {key.Name}, the row of {table.Definition.Name} that is to go.");
                }
            }
        }
    }

    private void CheckTruncate(InMemoryTable table)
    {
        if (!ChecksForeignKeys) return;
        var child = _server.Tables.FirstOrDefault(c => c != table && c.ForeignKeys.Any(k => k.Referenced == table.Definition.Name));
        if (child is not null) throw Violates($"{table.Definition.Name} can't be truncated: {child.Definition.Name} refers to it by a foreign key.");
    }

    private ReplicationException Violates(string message)
    {
        Fail();
        return new ReplicationException(ReplicationErrorKind.ApplyRefused, message);
    }
}
