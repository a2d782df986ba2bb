using ActiveActive.Fuzz.Targets;

namespace ActiveActive.Fuzz;

/// <summary>Runs one input and looks at how it ends.</summary>
internal static class InputRun
{
    /// <returns>Null where it is all right.</returns>
    public static Finding? Run(FuzzTarget target, FuzzInput input)
    {
        var allowed = target.AllowedBytes(input);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Finding? finding = null;
        int outcome;
        try
        {
            outcome = target.Run(input);
        }
        catch (ReplicationException e) when (e.Kind is ReplicationErrorKind.Corrupt or ReplicationErrorKind.PeerRefused or ReplicationErrorKind.Transient or ReplicationErrorKind.Misconfigured)
        {
            outcome = OutcomeOf(e.Message);
        }
        catch (Exception e)
        {
            outcome = 0;
            finding = new Finding(FindingKind.Crash, target.Name, input, e.ToString());
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (finding is null && allocated > allowed) finding = new Finding(FindingKind.OverAllocation, target.Name, input, $"{allocated} bytes of memory for {input.LengthBytes}; {allowed} are allowed.");
        if (finding is null) target.Learn(input, outcome);
        return finding;
    }

    /// <summary>Two refusals that differ in numbers only are one.</summary>
    private static int OutcomeOf(string message)
    {
        var hash = 17;
        foreach (var c in message.AsSpan(0, Math.Min(160, message.Length)))
        {
            if (!char.IsAsciiDigit(c)) hash = unchecked((hash * 31) + c);
        }

        return hash;
    }
}
