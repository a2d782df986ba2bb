using Microsoft.Extensions.Hosting;

namespace ActiveActive.Hosting;

/// <summary>
/// Runs a node with the application: start-up never waits for the database or a peer; stopping lets connected peers catch up. That
/// happens while the host is stopping and not when it is this service's turn: the web server, over which the peers read, stops earlier.
/// </summary>
internal sealed class ReplicationHostedService(ReplicationNode node) : IHostedLifecycleService
{
    private static readonly TimeSpan s_drain = TimeSpan.FromSeconds(5);

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        node.Start();
        return Task.CompletedTask;
    }

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(s_drain);
        await node.StopAsync(patience.Token);
    }

    /// <summary>For a host that knows no <see cref="StoppingAsync"/>; else there is nothing left to do.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => StoppingAsync(cancellationToken);

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
