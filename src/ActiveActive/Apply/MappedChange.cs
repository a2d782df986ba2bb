using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <summary>One write to one key, in local column order: what the conflict rules decide about. A key change has become two of these.</summary>
/// <param name="Kind">Insert, Update or Delete.</param>
/// <param name="Mapping">Where it came from.</param>
/// <param name="Key">The key it writes.</param>
/// <param name="Values">The new row; null for a delete.</param>
/// <param name="OldValues">The whole old row where the transaction carried it; else null.</param>
internal sealed record MappedChange(ChangeKind Kind, RelationMapping Mapping, RowKey Key, ColumnValue[]? Values, ColumnValue[]? OldValues)
{
    public LocalTable Table => Mapping.Table;

    /// <summary>Of one that is nobody's write: the version that has replaced what stands here, if that is older.</summary>
    public RowVersion? Superseding { get; init; }

    /// <summary>Whether it is a delete that a TRUNCATE comes to for one row. The table's tombstone stands for the key's.</summary>
    public bool IsTruncate { get; init; }

    /// <summary>Whether a TRUNCATE of the same transaction has decided, and recorded, what becomes of others' versions of the row.</summary>
    public bool IsRepeated { get; init; }

    /// <summary>Whether a value that the peer sends is missing (unchanged TOAST).</summary>
    public bool HasGaps
    {
        get
        {
            for (var i = 0; i < Values!.Length; i++)
            {
                if (Values[i].IsUnchanged && Mapping.IsSent(i)) return true;
            }

            return false;
        }
    }

    /// <summary>The same write with its missing values taken from its row at the origin.</summary>
    public MappedChange FilledFrom(Row row)
    {
        var values = (ColumnValue[])Values!.Clone();
        for (var i = 0; i < values.Length; i++)
        {
            if (!values[i].IsUnchanged || !Mapping.IsSent(i)) continue;
            values[i] = !row.TryGetValue(Table.Columns[i].Name, out var text)
                ? throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"Column '{Table.Columns[i].Name}' of {Table.Name} was dropped on its origin before its value was fetched. Add it there again.")
                : text is null ? ColumnValue.Null : ColumnValue.Of(text);
        }

        return this with { Values = values };
    }

    /// <summary>
    /// Splits a row change: an update whose key differs is a delete of the old key and an insert of the new, with one stamp.
    /// A truncate has no key and is not mapped.
    /// </summary>
    public static void AddTo(List<MappedChange> changes, Change change, RelationMapping mapping)
    {
        var oldValues = change.OldRow is { } old && !change.OldIsKeyOnly ? mapping.ToLocal(old) : null;
        switch (change.Kind)
        {
            case ChangeKind.Insert:
                changes.Add(new(ChangeKind.Insert, mapping, mapping.KeyOf(change.NewRow!), mapping.ToLocal(change.NewRow!), null));
                break;
            case ChangeKind.Delete:
                changes.Add(new(ChangeKind.Delete, mapping, mapping.KeyOf(change.OldRow!), null, oldValues));
                break;
            case ChangeKind.Superseded:
                changes.Add(new(ChangeKind.Superseded, mapping, mapping.KeyOf(change.OldRow!), null, null) { Superseding = change.Version });
                break;
            case ChangeKind.Update:
                var key = mapping.KeyOf(change.NewRow!);
                var newValues = mapping.ToLocal(change.NewRow!);
                if (change.OldRow is not null && mapping.KeyOf(change.OldRow) is var oldKey && oldKey != key)
                {
                    changes.Add(new(ChangeKind.Delete, mapping, oldKey, null, oldValues));
                    changes.Add(new(ChangeKind.Insert, mapping, key, newValues, null) { MovedFrom = oldKey });
                }
                else
                {
                    changes.Add(new(ChangeKind.Update, mapping, key, newValues, oldValues));
                }

                break;
        }
    }

    /// <summary>For the insert half of a key change: the old key, whose row holds the values that the change left unchanged.</summary>
    public RowKey? MovedFrom { get; init; }
}
