namespace ActiveActive.Benchmarks.Clusters;

/// <summary>What moves rows between the databases of one measurement.</summary>
internal interface IReplication : IAsyncDisposable
{
    /// <summary>Its hosts' processes; none where the server itself does it.</summary>
    IReadOnlyList<int> HostProcesses { get; }

    /// <summary>Stops apply on a node; what others commit waits.</summary>
    Task PauseAsync(int node, CancellationToken cancellationToken);

    /// <summary>Goes on with apply on a node.</summary>
    Task ResumeAsync(int node, CancellationToken cancellationToken);
}
