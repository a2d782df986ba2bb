namespace QuickStart.Writes;

/// <summary>The keys of recent messages, so that tellers of all nodes edit and delete the same ones.</summary>
internal sealed class MessageBoard
{
    // Few, so that their writes meet often.
    private const int Capacity = 20;

    private readonly Lock _lock = new();
    private readonly List<Guid> _recent = [];

    public void Add(Guid id)
    {
        lock (_lock)
        {
            _recent.Add(id);
            if (_recent.Count > Capacity) _recent.RemoveAt(0);
        }
    }

    public Guid? Any(Random random)
    {
        lock (_lock) return _recent.Count == 0 ? null : _recent[random.Next(_recent.Count)];
    }
}
