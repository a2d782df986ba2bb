using System.Text.Json;

namespace ActiveActive.Database;

/// <summary>
/// Where whoever operates a node meets the instance that leads it: what that instance reports, what it is asked to do, and which peers are paused. Part of the database seam: a
/// command-line tool reaches the database, and seldom the one process that leads. None of it replicates.
/// </summary>
internal interface INodeDesk
{
    /// <summary>Which peers are paused, and whether somebody asks for something. One query, which writes nothing.</summary>
    ValueTask<DeskState> ReadDeskAsync(CancellationToken cancellationToken);

    /// <summary>Pauses a peer, or ends that; durable on return. The instance that leads acts by it.</summary>
    ValueTask SavePauseAsync(NodeName peer, bool isPaused, CancellationToken cancellationToken);

    /// <summary>Takes the place of what was reported before. It need not survive a crash of the server.</summary>
    /// <param name="report">JSON.</param>
    /// <param name="cancellationToken">Gives up.</param>
    ValueTask SaveReportAsync(string report, CancellationToken cancellationToken);

    /// <summary>What other instances took up and did not end, they never will: it counts as failed.</summary>
    ValueTask AbandonCommandsAsync(CancellationToken cancellationToken);

    /// <summary>The oldest command that waits, taken up by this instance; null where none does. One that has waited for too long is passed over: whoever asked has been told so.</summary>
    ValueTask<NodeCommand?> TakeCommandAsync(CancellationToken cancellationToken);

    /// <summary>Says how a command ended.</summary>
    ValueTask EndCommandAsync(long id, CommandOutcome outcome, CancellationToken cancellationToken);
}

/// <param name="Paused">The peers that are paused.</param>
/// <param name="IsAsked">Whether a command waits.</param>
internal sealed record DeskState(IReadOnlyCollection<NodeName> Paused, bool IsAsked);

/// <summary>What the node is asked to do.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Verb">See <see cref="Commands.NodeVerbs"/>.</param>
/// <param name="Arguments">A JSON object.</param>
internal sealed record NodeCommand(long Id, string Verb, JsonElement Arguments);

/// <summary>How a command ended.</summary>
/// <param name="Result">JSON; null where there is nothing to say.</param>
/// <param name="Code">Null where it was done.</param>
/// <param name="Error">What went wrong, and how to mend it.</param>
internal sealed record CommandOutcome(string? Result, string? Code = null, string? Error = null);
