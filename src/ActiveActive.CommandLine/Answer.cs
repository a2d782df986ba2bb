using System.Text.Json.Nodes;
using Spectre.Console;

namespace ActiveActive.CommandLine;

/// <summary>What a verb has found or done: as JSON, and as people read it.</summary>
/// <param name="Json">The whole of it.</param>
/// <param name="Show">Writes it for people.</param>
/// <param name="ExitCode">See <see cref="ExitCodes"/>.</param>
internal sealed record Answer(JsonNode Json, Action<IAnsiConsole> Show, int ExitCode = ExitCodes.Done);
