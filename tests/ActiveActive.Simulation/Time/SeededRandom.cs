namespace ActiveActive.Simulation.Time;

/// <summary>The one source of chance (xorshift128+): its numbers depend on the seed alone, whatever the runtime's version.</summary>
internal sealed class SeededRandom
{
    private ulong _a;
    private ulong _b;

    public SeededRandom(ulong seed)
    {
        _a = Mix(seed + 0x9E3779B97F4A7C15);
        _b = Mix(_a + 0x9E3779B97F4A7C15);
    }

    /// <summary>0 up to and without <paramref name="bound"/>.</summary>
    public int Next(int bound) => (int)(NextUInt64() % (uint)bound);

    /// <summary>Both ends included.</summary>
    public int Between(int least, int most) => least + Next(most - least + 1);

    public bool Chance(int percent) => Next(100) < percent;

    public T Pick<T>(IReadOnlyList<T> from) => from[Next(from.Count)];

    private ulong NextUInt64()
    {
        var x = _a;
        var y = _b;
        _a = y;
        x ^= x << 23;
        _b = x ^ y ^ (x >> 17) ^ (y >> 26);
        return (_b + y) >> 11;
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
