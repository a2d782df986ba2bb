using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>One transaction of each origin that needs something special from its beginning on, however often it is delivered again.</summary>
internal sealed class OriginPositions
{
    private readonly Lock _lock = new();
    private readonly Dictionary<NodeName, NpgsqlLogSequenceNumber> _positions = [];

    public void Set(NodeName origin, NpgsqlLogSequenceNumber position)
    {
        lock (_lock) _positions[origin] = position;
    }

    public bool IsAt(NodeName origin, NpgsqlLogSequenceNumber position)
    {
        lock (_lock) return _positions.TryGetValue(origin, out var set) && set == position;
    }
}
