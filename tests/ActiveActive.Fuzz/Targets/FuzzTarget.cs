using ActiveActive.Fuzz;

namespace ActiveActive.Fuzz.Targets;

/// <summary>Code that reads what others write.</summary>
internal abstract class FuzzTarget
{
    // Beyond what was sent: decoders, windows and buffers that every connection has, and the exception that ends it.
    private const long FixedBytes = 256 << 10;
    private const long BytesPerByte = 64;
    private const int MaxPool = 4_000;

    // Larger ones take the time of many.
    private const int MaxLearnedBytes = 2_000;

    private readonly List<byte[][]> _pool = [];
    private readonly HashSet<int> _outcomes = [];

    public abstract string Name { get; }

    /// <summary>How many ways in which inputs end have been seen.</summary>
    public int Outcomes => _outcomes.Count;

    /// <summary>Runs an input through the code; returns what tells its way through from others'.</summary>
    /// <exception cref="ReplicationException">The input was refused.</exception>
    public abstract int Run(FuzzInput input);

    /// <summary>The memory that an input may take.</summary>
    public virtual long AllowedBytes(FuzzInput input) => FixedBytes + (BytesPerByte * input.LengthBytes);

    public FuzzInput Next(Mutator mutator)
    {
        var random = mutator.Random;
        var pieces = (byte[][])_pool[random.Next(_pool.Count)].Clone();
        var other = _pool[random.Next(_pool.Count)];
        for (var i = random.Next(4) == 0 ? 2 : 1; i > 0; i--)
        {
            var place = random.Next(pieces.Length);
            pieces[place] = mutator.Mutate(pieces[place], other[random.Next(other.Length)]);
        }

        if (random.Next(8) == 0 && pieces.Length < 40) pieces = [.. pieces, other[random.Next(other.Length)]];
        if (random.Next(16) == 0 && pieces.Length > 1) pieces = [.. pieces.Where((_, i) => i != pieces.Length / 2)];
        return new FuzzInput(random.Next(Variants), random.Next(2) == 0 ? int.MaxValue : random.Next(1, 40), pieces);
    }

    /// <summary>An input that ended in a new way is changed further.</summary>
    public void Learn(FuzzInput input, int outcome)
    {
        if (_outcomes.Add(outcome) && _pool.Count < MaxPool && input.LengthBytes < MaxLearnedBytes) _pool.Add(input.Pieces);
    }

    protected abstract int Variants { get; }

    protected void Seed(params byte[][] pieces) => _pool.Add(pieces);
}
