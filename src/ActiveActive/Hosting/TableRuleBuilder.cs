namespace ActiveActive;

/// <summary>Settings of the tables that match one pattern.</summary>
public sealed class TableRuleBuilder
{
    private readonly TableRule _rule;

    internal TableRuleBuilder(TableRule rule) => _rule = rule;

    /// <summary>A column whose changes add up; see <see cref="ActiveActive.DeltaColumn"/>.</summary>
    public TableRuleBuilder DeltaColumn(string column) => DeltaColumn(new DeltaColumn(column));

    /// <summary>A column whose changes add up.</summary>
    public TableRuleBuilder DeltaColumn(DeltaColumn column)
    {
        ArgumentNullException.ThrowIfNull(column);
        if (!_rule.DeltaColumns.Contains(column.Name)) _rule.DeltaColumns.Add(column.Name);
        return this;
    }

    /// <summary>The nodes that hold these tables, and no others; see <see cref="TableRule.OnlyOn"/>.</summary>
    public TableRuleBuilder OnlyOn(params IReadOnlyList<string> nodes)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        foreach (var node in nodes) _rule.OnlyOn.Add(node);
        return this;
    }

    /// <summary>Which nodes hold which rows, by a column's value; see <see cref="TableRule.Residency"/>.</summary>
    public TableRuleBuilder Residency(string column, Action<Residency> configure)
    {
        ArgumentNullException.ThrowIfNull(column);
        ArgumentNullException.ThrowIfNull(configure);
        configure(_rule.Residency = new Residency(column));
        return this;
    }

    /// <summary>The resolver of these tables.</summary>
    public TableRuleBuilder ResolveConflictsWith(IConflictResolver resolver)
    {
        _rule.Resolver = resolver;
        return this;
    }

    /// <summary>What becomes of transactions that can't be applied here; see <see cref="TableRule.OnApplyError"/>.</summary>
    public TableRuleBuilder OnApplyError(ApplyErrorPolicy policy)
    {
        _rule.OnApplyError = policy;
        return this;
    }

    /// <summary>What becomes of rows whose foreign key names a missing row; see <see cref="TableRule.OnOrphan"/>.</summary>
    public TableRuleBuilder OnOrphan(OrphanPolicy policy)
    {
        _rule.OnOrphan = policy;
        return this;
    }

    /// <summary>The same for one foreign key, by its name or by its referencing columns; see <see cref="TableRule.OnOrphanOf"/>.</summary>
    public TableRuleBuilder OnOrphan(string foreignKey, OrphanPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(foreignKey);
        _rule.OnOrphanOf[foreignKey] = policy;
        return this;
    }

    /// <summary>The tables' sequence-backed keys are known not to collide; see <see cref="TableRule.AllowSequenceKeys"/>.</summary>
    public TableRuleBuilder AllowSequenceKeys()
    {
        _rule.AllowSequenceKeys = true;
        return this;
    }
}
