using System.Globalization;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>A node joins in the middle of drawn histories, on the whole engine: nodes, network and databases that fail.</summary>
public sealed class JoinRandomTests
{
    private const int Keys = 12;

    private static int Seeds => Environment.GetEnvironmentVariable("ACTIVEACTIVE_JOIN_SEEDS") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 8;

    private static int FirstSeed => Environment.GetEnvironmentVariable("ACTIVEACTIVE_JOIN_FIRST_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 1;

    [Fact]
    public async Task Drawn_histories_with_a_join_converge()
    {
        for (var seed = FirstSeed; seed < FirstSeed + Seeds; seed++)
        {
            var exception = await Record.ExceptionAsync(() => new History(seed).RunAsync());
            Assert.True(exception is null, $"seed {seed}: {exception}");
        }
    }

    private sealed class History(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Dictionary<int, long> _sums = [];
        private InMemoryCluster _cluster = null!;
        private InMemoryNode? _joining;
        private int _values;

        public async Task RunAsync()
        {
            await using var cluster = _cluster = await StartAsync(_random.Next(2, 4));
            foreach (var node in cluster.Nodes) node.Clock.Offset = TimeSpan.FromMilliseconds(_random.Next(-3, 4));
            for (var i = 0; i < Keys; i++) await cluster[0].InsertAsync("account", ("id", $"{i}"), ("v", "first"), ("n", "0"));
            await cluster.ConvergeAsync();
            var steps = _random.Next(60, 200);
            var joinAt = _random.Next(steps / 2);
            for (var step = 0; step < steps; step++)
            {
                if (step == joinAt) _joining = await cluster.JoinAsync("z", Pick(cluster.Nodes.Where(n => n.IsRunning)));
                await StepAsync();
            }

            cluster.Heal();
            foreach (var node in cluster.Nodes) node.Clock.Offset = TimeSpan.Zero;
            foreach (var node in cluster.Nodes.Where(n => !n.IsRunning).ToList()) await cluster.StartAgainAsync(node, isJoining: true);
            await cluster.UntilAsync("all nodes are members", () => cluster.Nodes.All(n => n.Replication.Status.State == NodeState.Running));
            await cluster.ConvergeAsync(TimeSpan.FromMinutes(10));
            // The one that has joined is a member like all others.
            await _joining!.InsertAsync("plain", ("id", "z"), ("v", "z"));
            await cluster.ConvergeAsync(TimeSpan.FromMinutes(10));
            foreach (var node in cluster.Nodes)
            {
                foreach (var (key, sum) in _sums) Assert.Equal($"{sum}", node.Read("account", $"{key}")!["n"]);
            }

            // Nothing is kept for ever.
            await cluster.PassAsync(TimeSpan.FromMinutes(3));
            Assert.All(cluster.Nodes, n => Assert.Equal(0, n.Database.NoteCount));
        }

        private Task<InMemoryCluster> StartAsync(int nodes) => InMemoryCluster.StartAsync(nodes, options => options
            .Table("plain", "id text", "v text")
            .Table(new TableDefinition("person", "id text", "e integer", "v text") { UniqueKeys = ["e"] })
            .Table("account", "id integer", "v text", "n bigint")
            .Table("counter", "id text", "v text", "n bigint")
            .Table("merged", "id text", "v text")
            .Node(node => node
                .Replicate("public.account", table => table.DeltaColumn("n"))
                .Replicate("public.counter", table => table.DeltaColumn("n"))
                .Replicate("public.merged", table => table.ResolveConflictsWith(new Longest()))
                .With(o => o.MaxChangesPerPart = 4)));

        private async Task StepAsync()
        {
            var running = _cluster.Nodes.Where(n => n.IsRunning).ToList();
            switch (_random.Next(100))
            {
                case < 62:
                    await WriteAsync(Pick(running));
                    break;
                case < 82:
                    await _cluster.PassAsync(TimeSpan.FromMicroseconds(_random.Next(1, 1 << _random.Next(4, 20))));
                    break;
                case < 86:
                    var (a, b) = (Pick(running), Pick(running));
                    if (a != b) _cluster.Delay(a, b, TimeSpan.FromMilliseconds(_random.Next(1, 2000)));
                    break;
                case < 89:
                    (a, b) = (Pick(running), Pick(running));
                    if (a != b) _cluster.Partition(a, b);
                    break;
                case < 93:
                    _cluster.Heal();
                    break;
                case < 95:
                    if (running.Count == _cluster.Nodes.Count) _cluster.Crash(Pick(running));
                    break;
                case < 98:
                    foreach (var node in _cluster.Nodes.Where(n => !n.IsRunning).ToList()) await _cluster.StartAgainAsync(node, isJoining: true);
                    break;
                default:
                    _cluster.CrashDatabase(Pick(running));
                    break;
            }
        }

        private async Task WriteAsync(InMemoryNode node)
        {
            if (node == _joining && node.Replication.Status.State != NodeState.Running) return;
            var key = _random.Next(Keys);
            var value = $"{node.Name}{++_values}";
            try
            {
                await node.TransactAsync(async t =>
                {
                    for (var writes = _random.Next(1, 4); writes > 0; writes--)
                    {
                        switch (_random.Next(14))
                        {
                            case 0 or 1: await PutAsync(t, "plain", ("id", $"p{_random.Next(Keys)}"), ("v", value)); break;
                            case 2: await t.DeleteAsync("plain", $"p{_random.Next(Keys)}"); break;
                            case 3 or 4: await PutAsync(t, "person", ("id", $"p{_random.Next(Keys)}"), ("e", $"{_random.Next(Keys / 2)}"), ("v", value)); break;
                            case 5: await t.DeleteAsync("person", $"p{_random.Next(Keys)}"); break;
                            case 6: await PutAsync(t, "counter", ("id", $"c{_random.Next(Keys)}"), ("v", value), ("n", "1")); break;
                            case 7: await t.DeleteAsync("counter", $"c{_random.Next(Keys)}"); break;
                            case 8 or 9: await PutAsync(t, "merged", ("id", $"m{_random.Next(Keys)}"), ("v", value)); break;
                            case 10: await t.DeleteAsync("merged", $"m{_random.Next(Keys)}"); break;
                            case 11 when _random.Next(6) == 0: await t.TruncateAsync(_random.Next(2) == 0 ? "plain" : "merged"); break;
                            default: await t.UpdateAsync("account", ("id", $"{_random.Next(Keys)}"), ("v", value)); break;
                        }
                    }

                    await t.AddAsync("account", "n", 1, $"{key}");
                });
                _sums[key] = _sums.GetValueOrDefault(key) + 1;
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient)
            {
                // A deadlock's victim.
            }
        }

        private static async Task PutAsync(LocalTransaction t, string table, params (string Column, string? Text)[] row)
        {
            if (!await t.UpdateAsync(table, row)) await t.InsertAsync(table, row);
        }

        private InMemoryNode Pick(IEnumerable<InMemoryNode> nodes)
        {
            var all = nodes.ToList();
            return all[_random.Next(all.Count)];
        }
    }

    private sealed class Longest : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With("v", string.Join(',',
            $"{conflict.Local["v"]},{conflict.Remote["v"]}".Split(',').Distinct().Order(StringComparer.Ordinal).TakeLast(4))));
    }
}
