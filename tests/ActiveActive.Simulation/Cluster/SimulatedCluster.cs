using ActiveActive.Routes;
using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Cluster;

/// <summary>All that one simulation consists of.</summary>
internal sealed class SimulatedCluster
{
    /// <summary>How many commits applied several transactions.</summary>
    public int Groups { get; set; }

    public SimulatedCluster(SimulationOptions options, Trace trace)
    {
        Options = options;
        Trace = trace;
        Loop = new EventLoop(new SeededRandom(options.Seed), options.InterruptPercent);
        trace.Attach(Loop);
        Findings = new Findings();
        History = new History(options, trace, Findings);
        Routes = new TableRoutes(SimulatedTables.Rules(options));
        Network = new SimulatedNetwork(this);
        Treatments = new Treatments(this);
        Nodes = [.. Enumerable.Range(0, options.Nodes).Select(i => new SimulatedNode(i, this))];
    }

    /// <summary>Whether the faults are over.</summary>
    public bool IsHealed { get; set; }

    public SimulationOptions Options { get; }

    public Trace Trace { get; }

    /// <summary>As the engine knows them; checks ask <see cref="SimulationOptions.Holds"/>.</summary>
    public TableRoutes Routes { get; }

    public EventLoop Loop { get; }

    public Findings Findings { get; }

    public History History { get; }

    public SimulatedNetwork Network { get; }

    public Treatments Treatments { get; }

    public IReadOnlyList<SimulatedNode> Nodes { get; }
}
