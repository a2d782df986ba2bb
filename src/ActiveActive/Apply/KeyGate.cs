using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;

namespace ActiveActive.Apply;

/// <summary>
/// Lets the apply workers of a node decide about a key one at a time. Two of them read under READ COMMITTED: one that deletes a missing
/// row and one that inserts it, or one that truncates, would not see each other's work, and both could commit (convergence R1). Row locks
/// exclude writers of a row that stands; this excludes those of a row that does not. Local writers are met by waiting for capture.
/// </summary>
/// <remarks>
/// Waiters hold no lock of the database, so that no circle goes through it: keys are taken before the transaction begins, and
/// what a later part adds is never waited for.
/// </remarks>
internal sealed class KeyGate
{
    private readonly Lock _lock = new();

    // In order of arrival, holders and waiters alike: one enters once nobody before it, and nobody who is in, is in its way.
    private readonly List<Pass> _passes = [];

    // Whose transaction met another's keys in a later part, and was rolled back: it goes alone next time.
    private readonly HashSet<NodeName> _alone = [];

    /// <param name="origins">
    /// The node's peers. A transaction of an earlier process may still be committing: nobody enters before each origin's session is
    /// held anew (<see cref="Settle"/>), which tells that nothing older of it is under way.
    /// </param>
    public KeyGate(IEnumerable<NodeName> origins)
    {
        foreach (var origin in origins) _passes.Add(new Pass(origin, isAlone: true) { IsIn = true });
    }

    /// <summary>Whether a transaction of the origin is or may be under way.</summary>
    public bool Holds(NodeName origin)
    {
        lock (_lock) return _passes.Exists(p => p.Origin == origin);
    }

    /// <summary>Waits until no other origin's transaction has one of the keys. Ends by <see cref="Settle"/>.</summary>
    /// <param name="origin">Whose transaction it is; it has at most one.</param>
    /// <param name="keys">The keys of its first part.</param>
    /// <param name="isAlone">Whether it must exclude all others: a truncate touches keys that it does not name.</param>
    /// <param name="cancellationToken">Ends the wait; then nothing is held.</param>
    /// <exception cref="ReplicationException">Transient: whether the origin's last transaction is over is not known. It would be waited for without an end.</exception>
    public async ValueTask EnterAsync(NodeName origin, IReadOnlyList<LocalKey> keys, bool isAlone, CancellationToken cancellationToken)
    {
        Pass pass;
        lock (_lock)
        {
            if (_passes.Exists(p => p.Origin == origin))
            {
                throw new ReplicationException(ReplicationErrorKind.Transient, $"The connection over which a transaction of node '{origin}' was applied is lost, and may still commit it. Open a new session.");
            }

            pass = new Pass(origin, isAlone || _alone.Contains(origin));
            pass.Add(keys);
            _passes.Add(pass);
            LetIn();
            if (pass.IsIn || Safeguards.IsOff(Safeguard.KeyGate)) return;
        }

        try
        {
            await pass.Entered.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Remove(pass);
            throw;
        }
    }

    /// <summary>Adds the keys of a later part of the transaction that is in.</summary>
    /// <exception cref="ReplicationException">Transient: another has one of them. The transaction begins again, and then goes alone.</exception>
    public void Extend(NodeName origin, IReadOnlyList<LocalKey> keys, bool isAlone)
    {
        lock (_lock)
        {
            var pass = _passes.Find(p => p.Origin == origin)!;
            if (_passes.Exists(other => other != pass && other.IsIn))
            {
                var wider = new Pass(origin, isAlone || pass.IsAlone);
                wider.Add(keys);
                if (_passes.Exists(other => other != pass && other.IsIn && other.IsInTheWayOf(wider)))
                {
                    _alone.Add(origin);
                    throw new ReplicationException(ReplicationErrorKind.Transient, $"A transaction of node '{origin}' and another peer's write the same keys; it is applied alone.");
                }
            }

            pass.Add(keys);
            pass.IsAlone |= isAlone;
        }
    }

    /// <summary>The origin's transaction is over for certain: committed, rolled back, or its session was taken anew.</summary>
    /// <param name="origin">The origin.</param>
    /// <param name="isCommitted">Whether it need not come again.</param>
    public void Settle(NodeName origin, bool isCommitted)
    {
        lock (_lock)
        {
            if (isCommitted) _alone.Remove(origin);
            if (_passes.RemoveAll(p => p.Origin == origin) > 0) LetIn();
        }
    }

    private void Remove(Pass pass)
    {
        lock (_lock)
        {
            _passes.Remove(pass);
            LetIn();
        }
    }

    private void LetIn()
    {
        for (var i = 0; i < _passes.Count; i++)
        {
            var pass = _passes[i];
            if (pass.IsIn || IsBlocked(i)) continue;
            pass.IsIn = true;
            pass.Entered.TrySetResult();
        }
    }

    private bool IsBlocked(int at)
    {
        for (var i = 0; i < _passes.Count; i++)
        {
            // One that came later and is in can have taken more keys since.
            if (i != at && (i < at || _passes[i].IsIn) && _passes[i].IsInTheWayOf(_passes[at])) return true;
        }

        return false;
    }

    /// <summary>One transaction that holds keys, or waits for them.</summary>
    private sealed class Pass(NodeName origin, bool isAlone)
    {
        // Hash codes, for a large transaction has many keys: where two keys share one, somebody waits without need.
        private readonly HashSet<int> _keys = [];

        public NodeName Origin => origin;

        public bool IsAlone { get; set; } = isAlone;

        public bool IsIn { get; set; }

        public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Add(IReadOnlyList<LocalKey> keys)
        {
            foreach (var key in keys) _keys.Add(key.Key.GetHashCode());
        }

        public bool IsInTheWayOf(Pass other) =>
            IsAlone || other.IsAlone || (_keys.Count < other._keys.Count ? other._keys.Overlaps(_keys) : _keys.Overlaps(other._keys));
    }
}
