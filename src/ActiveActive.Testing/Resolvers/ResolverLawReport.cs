using System.Text;

namespace ActiveActive.Testing;

/// <summary>One law, and what breaks it.</summary>
/// <param name="Name">The law.</param>
/// <param name="Meaning">What it demands, in a sentence.</param>
/// <param name="CounterExample">The smallest rows found that break it, and what happened; null where none were found. Holds row values.</param>
public sealed record ResolverLaw(string Name, string Meaning, string? CounterExample)
{
    /// <summary>Whether no counter-example was found: a proof it is not.</summary>
    public bool Holds => CounterExample is null;
}

/// <summary>A resolver breaks a law that convergence needs.</summary>
public sealed class ResolverLawException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ResolverLawException(string message) : base(message)
    {
    }
}

/// <summary>
/// What <see cref="ResolverLaws"/> found. Nodes converge where <see cref="Answers"/>, <see cref="Determinism"/> and
/// <see cref="ConvergesUnderFold"/> hold: concurrent versions are folded in the order of their stamps on every node, whichever arrived first, so
/// the result depends on the set of versions alone. The other laws are told and not demanded: a resolver that has them gives results that
/// do not depend on clocks either.
/// </summary>
public sealed class ResolverLawReport
{
    internal ResolverLawReport(string resolver, IReadOnlyList<ResolverLaw> laws)
    {
        Resolver = resolver;
        Laws = laws;
    }

    /// <summary>The resolver's type.</summary>
    public string Resolver { get; }

    /// <summary>All laws, the demanded ones first.</summary>
    public IReadOnlyList<ResolverLaw> Laws { get; }

    /// <summary>Demanded: every conflict gets an answer, and one that fits the table. An exception would hold the peer's stream.</summary>
    public ResolverLaw Answers => Laws[0];

    /// <summary>Demanded: the same rows and versions get the same answer, whenever, wherever and by whichever instance.</summary>
    public ResolverLaw Determinism => Laws[1];

    /// <summary>Demanded: whatever the order of arrival, the fold of three versions is the same. Follows from determinism; tried all the same.</summary>
    public ResolverLaw ConvergesUnderFold => Laws[2];

    /// <summary>Told: which of the two was written later makes no difference.</summary>
    public ResolverLaw Commutativity => Laws[3];

    /// <summary>Told: three versions give the same row, whichever two are joined first.</summary>
    public ResolverLaw Associativity => Laws[4];

    /// <summary>Told: a row joined with itself, or with what is already in it, stays as it is.</summary>
    public ResolverLaw Idempotence => Laws[5];

    /// <summary>Whether the demanded laws hold.</summary>
    public bool Converges => Answers.Holds && Determinism.Holds && ConvergesUnderFold.Holds;

    /// <summary>Throws where a demanded law is broken; else returns this report.</summary>
    /// <exception cref="ResolverLawException">The whole report, with its counter-examples.</exception>
    public ResolverLawReport EnsureConverges() => Converges ? this : throw new ResolverLawException(ToString());

    /// <summary>The report as text.</summary>
    public override string ToString()
    {
        var text = new StringBuilder($"Resolver {Resolver} {(Converges ? "converges, as far as was tried." : "does not converge.")}\n");
        for (var i = 0; i < Laws.Count; i++)
        {
            var law = Laws[i];
            text.Append(null, $"{(law.Holds ? "holds" : i < 3 ? "BROKEN" : "does not hold")}: {law.Name}. {law.Meaning}\n{law.CounterExample}");
        }

        return text.ToString();
    }
}
