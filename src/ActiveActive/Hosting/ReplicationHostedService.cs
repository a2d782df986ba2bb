using Microsoft.Extensions.Hosting;

namespace ActiveActive.Hosting;

/// <summary>Runs a node with the application: start-up never waits for the database or a peer; stopping lets connected peers catch up.</summary>
internal sealed class ReplicationHostedService(ReplicationNode node) : IHostedService
{
    private static readonly TimeSpan s_drain = TimeSpan.FromSeconds(5);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        node.Start();
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(s_drain);
        await node.StopAsync(patience.Token);
    }
}
