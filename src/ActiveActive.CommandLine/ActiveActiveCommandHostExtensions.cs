using ActiveActive.CommandLine;

namespace Microsoft.Extensions.Hosting;

/// <summary>The command <c>aa</c> inside an application.</summary>
public static class ActiveActiveCommandHostExtensions
{
    /// <summary>
    /// Runs a verb for the application's node in place of the application: <c>if (args is ["aa", .. var command]) return await app.RunActiveActiveCommandAsync(command);</c>, before the host is run. Tables, rules and connection
    /// are those that the application registered. The host is not started.
    /// </summary>
    /// <param name="host">The application, built.</param>
    /// <param name="arguments">A verb and what belongs to it, for example <c>status --json</c>; none for the help.</param>
    /// <param name="serviceKey">Which node, where the application runs several under service keys; null for the only one.</param>
    /// <param name="cancellationToken">Ends the wait; what the node has begun goes on.</param>
    /// <returns>The exit code; see docs/TOOL.md.</returns>
    public static Task<int> RunActiveActiveCommandAsync(this IHost host, IReadOnlyList<string> arguments, object? serviceKey = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(arguments);
        return AaCommand.RunAsync(arguments, [], _ => NodeTarget.Of(host.Services, serviceKey), cancellationToken);
    }
}
