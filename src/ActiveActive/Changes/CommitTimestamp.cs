namespace ActiveActive;

/// <summary>
/// The commit timestamp of a transaction, as PostgreSQL keeps it with <c>track_commit_timestamp</c>: whole microseconds since
/// 2000-01-01 00:00 UTC. <see cref="Unknown"/> is older than every known stamp: the server no longer has one for that transaction.
/// </summary>
/// <param name="Microseconds">Microseconds since PostgreSQL's epoch.</param>
public readonly record struct CommitTimestamp(long Microseconds) : IComparable<CommitTimestamp>
{
    private static readonly DateTimeOffset s_epoch = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>A stamp that the server no longer knows: older than everything.</summary>
    public static CommitTimestamp Unknown => new(long.MinValue);

    /// <summary>Whether the server knew the stamp.</summary>
    public bool IsKnown => Microseconds != long.MinValue;

    /// <summary>The stamp of an instant, cut to microseconds.</summary>
    public static CommitTimestamp From(DateTimeOffset instant) => new((instant - s_epoch).Ticks / TimeSpan.TicksPerMicrosecond);

    /// <summary>The next later stamp.</summary>
    internal CommitTimestamp Next => new(Microseconds + 1);

    /// <summary>The instant in UTC.</summary>
    /// <exception cref="InvalidOperationException">The stamp is <see cref="Unknown"/>.</exception>
    public DateTimeOffset ToDateTimeOffset() => IsKnown
        ? s_epoch.AddTicks(Microseconds * TimeSpan.TicksPerMicrosecond)
        : throw new InvalidOperationException("This commit timestamp is unknown to the server.");

    /// <inheritdoc/>
    public int CompareTo(CommitTimestamp other) => Microseconds.CompareTo(other.Microseconds);

    /// <inheritdoc/>
    public override string ToString() => IsKnown ? ToDateTimeOffset().ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", System.Globalization.CultureInfo.InvariantCulture) : "unknown";

    /// <summary>Whether <paramref name="left"/> is the earlier stamp.</summary>
    public static bool operator <(CommitTimestamp left, CommitTimestamp right) => left.Microseconds < right.Microseconds;
    /// <summary>Whether <paramref name="left"/> is the later stamp.</summary>
    public static bool operator >(CommitTimestamp left, CommitTimestamp right) => left.Microseconds > right.Microseconds;
    /// <summary>Whether <paramref name="left"/> is not the later stamp.</summary>
    public static bool operator <=(CommitTimestamp left, CommitTimestamp right) => left.Microseconds <= right.Microseconds;
    /// <summary>Whether <paramref name="left"/> is not the earlier stamp.</summary>
    public static bool operator >=(CommitTimestamp left, CommitTimestamp right) => left.Microseconds >= right.Microseconds;
}
