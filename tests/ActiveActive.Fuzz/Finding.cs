namespace ActiveActive.Fuzz;

/// <summary>What no input may do.</summary>
internal enum FindingKind
{
    /// <summary>An exception that is none of the ways in which bad bytes are refused.</summary>
    Crash,

    /// <summary>It does not end.</summary>
    Hang,

    /// <summary>More memory than a multiple of what was sent.</summary>
    OverAllocation,
}

/// <summary>An input that did, and how.</summary>
internal sealed record Finding(FindingKind Kind, string Target, FuzzInput Input, string Detail)
{
    public override string ToString() => $"{Kind} in {Target}: {Detail}\n  --target {Target} --input {Input}";
}
