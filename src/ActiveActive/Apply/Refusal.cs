using System.Data.Common;
using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>A transaction that was refused, and how often by now. It outlives the connections over which the transaction comes again. Immutable.</summary>
internal sealed record Refusal
{
    private const int MaxAttempts = 3;

    public required NpgsqlLogSequenceNumber Position { get; init; }

    public required int Attempts { get; init; }

    public required DateTimeOffset FirstAttempt { get; init; }

    public required DateTimeOffset LastAttempt { get; init; }

    public required string Code { get; init; }

    public required string Reason { get; init; }

    /// <summary>Whether trying again is given up. One that writes a row of a quarantined transaction need not be tried again.</summary>
    public bool IsFinal => Attempts >= MaxAttempts || Code == QuarantinedTransaction.BehindAnotherCode;

    /// <summary>The refusal after one more attempt of the transaction.</summary>
    public static Refusal After(Refusal? earlier, ChangeTransaction part, ReplicationException fault, DateTimeOffset now) => new()
    {
        Position = part.Position,
        Attempts = earlier?.Position == part.Position ? earlier.Attempts + 1 : 1,
        FirstAttempt = earlier?.Position == part.Position ? earlier.FirstAttempt : now,
        LastAttempt = now,
        Code = CodeOf(fault),
        Reason = fault.Message,
    };

    public static string CodeOf(ReplicationException fault) => fault is BehindQuarantineException
        ? QuarantinedTransaction.BehindAnotherCode
        : (fault.InnerException as DbException)?.SqlState ?? QuarantinedTransaction.RefusedCode;
}

/// <summary>A transaction writes a row that one in quarantine has written before, as its writer knew.</summary>
internal sealed class BehindQuarantineException(string message) : ReplicationException(ReplicationErrorKind.ApplyRefused, message);
