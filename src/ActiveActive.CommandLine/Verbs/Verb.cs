using System.CommandLine;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>One verb of the command. A new one is a class like those beside this one, and a line in <see cref="All"/>; what the node must do for it is a line in <see cref="Commands.NodeVerbs"/>.</summary>
/// <param name="name">One word, or two: those with the same first word form a group.</param>
/// <param name="description">What it does, for <c>--help</c>.</param>
internal abstract class Verb(string name, string description)
{
    public string Name => name;

    public string Description => description;

    /// <summary>Its arguments and options.</summary>
    public virtual IEnumerable<Symbol> Symbols => [];

    /// <exception cref="ToolException">It can't be done.</exception>
    public abstract Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken);

    public static IReadOnlyList<Verb> All() =>
    [
        new CheckVerb(), new SetUpVerb(), new StatusVerb(), new JoinVerb(), new PauseVerb(), new ResumeVerb(), new RemoveVerb(), new ResyncVerb(), new ConflictsVerb(),
        new QuarantineListVerb(), new QuarantineRetryVerb(), new QuarantineDiscardVerb(),
    ];
}
