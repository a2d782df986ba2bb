namespace QuickStart;

/// <summary>Exit codes; see <see cref="QuickStartOptions.Usage"/>.</summary>
internal static class QuickStartExit
{
    public const int Converged = 0;
    public const int Differs = 1;
    public const int WrongOptions = 2;
    public const int NotRun = 3;
    public const int Interrupted = 130;
}
