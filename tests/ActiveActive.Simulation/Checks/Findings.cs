namespace ActiveActive.Simulation.Checks;

/// <summary>What the checkers found in one run.</summary>
internal sealed class Findings
{
    private readonly List<string> _all = [];

    public int Divergences { get; private set; }

    public int Losses { get; private set; }

    public int Violations { get; private set; }

    public bool IsClean => _all.Count == 0;

    public IReadOnlyList<string> All => _all;

    /// <summary>The table and key that the first finding is about; null where it names none.</summary>
    public (int Table, string Key)? Subject { get; private set; }

    public void Divergence(string message, int table, string key)
    {
        Divergences++;
        Subject ??= (table, key);
        _all.Add("divergence: " + message);
    }

    public void Loss(string message, int table, string key)
    {
        Losses++;
        Subject ??= (table, key);
        _all.Add("loss: " + message);
    }

    public void Violation(string message, (int Table, string Key)? subject = null)
    {
        Violations++;
        Subject ??= subject;
        _all.Add("violation: " + message);
    }
}
