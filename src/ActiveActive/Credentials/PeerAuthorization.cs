namespace ActiveActive;

/// <summary>The answer of an <see cref="IPeerAuthorizationPolicy"/>.</summary>
public sealed record PeerAuthorization
{
    private PeerAuthorization(string? reason) => Reason = reason;

    /// <summary>The peer may have what it asks for.</summary>
    public static PeerAuthorization Allowed { get; } = new((string?)null);

    /// <summary>Why not; null where it is allowed.</summary>
    public string? Reason { get; }

    /// <summary>Whether it is.</summary>
    public bool IsAllowed => Reason is null;

    /// <summary>The peer may not; the reason (at most 1,000 characters of it) is sent to it, so it should say what to do and nothing secret.</summary>
    public static PeerAuthorization Refused(string reason)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(reason);
        return new(reason.Length <= 1_000 ? reason : reason[..1_000]);
    }
}
