namespace ActiveActive;

/// <summary>
/// Decides what a row becomes when writes that did not know of each other meet. Set it for a table with
/// <c>ResolveConflictsWith&lt;T&gt;("public.profiles")</c>; it comes from dependency injection.
/// </summary>
/// <remarks>
/// <para><b>Determinism.</b> The answer must depend on the two rows, their versions and the table alone: no clock, no random number, no
/// database, no node name of its own. Every node asks the same question and must hear the same answer.
/// <c>ResolverLaws</c> in ActiveActive.Testing looks for mistakes.</para>
/// <para><b>Order.</b> So that any deterministic resolver converges, concurrent writes of a row are folded in the order of their
/// versions: <see cref="Conflict.Local"/> is what the earlier ones came to, <see cref="Conflict.Remote"/> the next later one,
/// on every node alike and whichever of them arrived first (see docs/ARCHITECTURE.md, "Merges").</para>
/// <para><b>Threads.</b> It may be called from several apply workers at once, and more than once for one conflict.</para>
/// <para><b>Errors.</b> An exception holds the stream of that peer with its message; nothing is lost and other peers go on.</para>
/// </remarks>
public interface IConflictResolver
{
    /// <summary>Answers one conflict.</summary>
    ConflictResolution Resolve(Conflict conflict);
}
