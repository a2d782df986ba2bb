using ActiveActive.Changes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>A table as its last Relation message told it, and as the catalog completed it, once it was asked.</summary>
internal sealed class KnownRelation(RelationMessage message)
{
    public RelationMessage Message { get; } = message;

    /// <summary>Null until a change needs it: the tables of applied transactions are never looked up.</summary>
    public Relation? Resolved { get; private set; }

    /// <summary>Whether a key-only old row holds the whole primary key. It does not where a replica identity index lacks some of it.</summary>
    public bool KeyIsInIdentity { get; private set; }

    public void Resolve(Relation relation)
    {
        Resolved = relation;
        KeyIsInIdentity = relation.KeyOrdinals.Count > 0 && relation.KeyOrdinals.All(i => Message.Columns[i].IsIdentity);
    }
}
