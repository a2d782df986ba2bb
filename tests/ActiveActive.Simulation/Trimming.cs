namespace ActiveActive.Simulation;

/// <summary>Makes a failing run smaller: the same seed with fewer transactions, faults and nodes, as long as it still fails.</summary>
internal static class Trimming
{
    public static SimulationOptions Trim(SimulationOptions failing)
    {
        var best = failing;
        foreach (var simpler in Simplifications)
        {
            var candidate = simpler(best);
            if (candidate != best && Fails(candidate)) best = candidate;
        }

        // Any smaller number is a different history: each is tried.
        for (var transactions = 2; transactions < best.Transactions; transactions += transactions < 40 ? 1 : 10)
        {
            for (var seed = 0; seed < 8; seed++)
            {
                var candidate = best with { Transactions = transactions, Seed = best.Seed + (ulong)(seed * 1_000_003) };
                if (Fails(candidate)) return candidate;
            }
        }

        return best;
    }

    private static IEnumerable<Func<SimulationOptions, SimulationOptions>> Simplifications =>
    [
        o => o with { Orphans = null },
        o => o with { Routes = false },
        o => o with { Values = false },
        o => o with { QuarantinePercent = 0 },
        o => o with { AbortPercent = 0 },
        o => o with { Crashes = false },
        o => o with { NetworkFaults = false },
        o => o with { Deaths = false },
        o => o with { Joins = false },
        o => o with { Partings = false },
        o => o with { SlowCapture = false },
        o => o with { Truncates = false },
        o => o.Tables.Count > 1 ? o with { Tables = [0] } : o,
        o => o.Tables.Count > 1 ? o with { Tables = [1] } : o,
        o => o.Tables.Count > 1 ? o with { Tables = [2] } : o,
        o => o.Tables.Count > 1 && o.Tables.Contains(3) ? o with { Tables = [3] } : o,
        o => o.Tables.Count > 1 && o.Tables.Contains(4) ? o with { Tables = [4] } : o,
        o => o.Tables.Count > 1 && o.Tables.Contains(5) ? o with { Tables = [5] } : o,
        o => o.UniqueKeys > 1 ? o with { UniqueKeys = 1 } : o,
        o => o with { SkewMicroseconds = 0 },
        o => o with { ClockStepMicroseconds = 0 },
        o => o with { ChangesPerPart = 5000 },
        o => o with { GranuleMicroseconds = 1 },
        o => o with { Nodes = 2 },
        o => o with { Keys = 1 },
        o => o with { ClientsPerNode = 1 },
    ];

    private static bool Fails(SimulationOptions options) => !Simulation.Run(options).Findings.IsClean;
}
