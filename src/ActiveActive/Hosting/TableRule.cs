namespace ActiveActive;

/// <summary>Settings for the tables that match a pattern.</summary>
public sealed class TableRule
{
    /// <summary>
    /// <c>schema.table</c> or <c>schema.*</c>; <c>*</c> stands for any characters. A pattern without <c>*</c> must name an existing
    /// table. Tables of <c>active_active</c>, <c>pg_catalog</c> and <c>information_schema</c> never match.
    /// </summary>
    public string Pattern { get; set; } = "";

    /// <summary>Tables that match it take no part, whatever other rules say. Default: false.</summary>
    public bool Exclude { get; set; }

    /// <summary>
    /// The nodes that hold these tables, by name: rows, keys and changes of theirs go to no other node, and on others the tables do not replicate at all. A table that several such rules match is on
    /// the nodes that all of them name. Default: none named, which is every node.
    /// </summary>
    public IList<string> OnlyOn { get; } = [];

    /// <summary>Which nodes hold which rows of these tables, by a column's value. Of several matching rules the last counts. Default: null, every row on every node that holds the table.</summary>
    public Residency? Residency { get; set; }

    /// <summary>Names of columns that add up (see <see cref="DeltaColumn"/>).</summary>
    public IList<string> DeltaColumns { get; } = [];

    /// <summary>The resolver of these tables; null for the node's default.</summary>
    public IConflictResolver? Resolver { get; set; }

    /// <summary>
    /// What becomes of transactions that write these tables and can't be applied here; null for the node's
    /// <see cref="ReplicationNodeOptions.OnApplyError"/>. A transaction is put aside only if all tables that it writes say so. Of several
    /// matching rules the last counts. Nodes need not agree. Default: null.
    /// </summary>
    public ApplyErrorPolicy? OnApplyError { get; set; }

    /// <summary>
    /// What becomes of rows whose foreign key names a missing row, for the foreign keys that <see cref="OnOrphanOf"/> does not name. Of several matching
    /// rules the last counts. Default: null, which is <see cref="OrphanPolicy.Keep"/>.
    /// </summary>
    public OrphanPolicy? OnOrphan { get; set; }

    /// <summary>
    /// The same for single foreign keys: by the constraint's name, or by its referencing columns in the constraint's order, separated by commas. Each must
    /// exist in every table that the rule matches.
    /// </summary>
    public IDictionary<string, OrphanPolicy> OnOrphanOf { get; } = new Dictionary<string, OrphanPolicy>(StringComparer.Ordinal);

    /// <summary>
    /// The table's sequence-backed keys are known not to collide (for example by <c>INCREMENT BY</c> and different starts), so that the
    /// start-up check accepts them. Default: false.
    /// </summary>
    public bool AllowSequenceKeys { get; set; }
}
