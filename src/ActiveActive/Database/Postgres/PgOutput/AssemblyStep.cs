using System.Diagnostics.CodeAnalysis;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>What the <see cref="TransactionAssembler"/> made of a message: nothing to do, a transaction to yield, a table to look up, or one that is described.</summary>
internal readonly record struct AssemblyStep
{
    private AssemblyStep(CapturedTransaction? transaction, RelationMessage? unresolved) => (Transaction, Unresolved) = (transaction, unresolved);

    public static AssemblyStep Continue => default;

    /// <summary>The message was taken, and this is to be yielded.</summary>
    public CapturedTransaction? Transaction { get; }

    /// <summary>The message was not taken: look this table up, <see cref="TransactionAssembler.Resolve"/> it, and pass the message again.</summary>
    public RelationMessage? Unresolved { get; }

    [MemberNotNullWhen(true, nameof(Unresolved))]
    public bool NeedsRelation => Unresolved is not null;

    /// <summary>The message was taken, and describes the table with this OID.</summary>
    public uint? DescribedTable { get; private init; }

    public static AssemblyStep Described(uint table) => new() { DescribedTable = table };

    public static AssemblyStep Yield(CapturedTransaction transaction) => new(transaction, null);

    public static AssemblyStep Resolve(RelationMessage relation) => new(null, relation);
}
