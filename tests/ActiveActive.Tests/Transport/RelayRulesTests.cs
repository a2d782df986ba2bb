using ActiveActive.Changes;
using ActiveActive.Database.Postgres;
using ActiveActive.Transport;
using Microsoft.Extensions.Time.Testing;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

/// <summary>When others are asked for a node's transactions, what a relayed stream may hold, and how it is kept.</summary>
public sealed class RelayRulesTests
{
    [Fact]
    [Trait("Story", "34")]
    public void Others_are_asked_after_a_while_or_when_somebody_waits_and_never_while_the_node_is_there()
    {
        var clock = new FakeTimeProvider();
        var absence = new PeerAbsence(clock, TimeSpan.FromSeconds(10));
        Assert.False(absence.IsDue(isAwaited: true));
        absence.Begin();
        Assert.True(absence.IsDue(isAwaited: true));
        Assert.False(absence.IsDue(isAwaited: false));
        clock.Advance(TimeSpan.FromSeconds(9));
        absence.Begin();
        Assert.False(absence.IsDue(isAwaited: false));
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(absence.IsDue(isAwaited: false));
        absence.End();
        Assert.False(absence.IsDue(isAwaited: true));
    }

    [Fact]
    [Trait("Story", "37")]
    public void Heartbeat_counts_only_in_its_nodes_own_stream()
    {
        Assert.True(Source(from: Us).Admits(Heartbeat()));
        Assert.False(Source(from: Eu).Admits(Heartbeat()));
        Assert.True(Source(from: Eu).Admits(EveryShape() with { Origin = Us }));
        Assert.False(Source(from: Us).Admits(EveryShape()));

        var last = EveryShape() with { Origin = Us, Position = new(0x50) };
        Assert.True(Source(from: Eu).EndsWith(last));
        Assert.False(Source(from: Eu).EndsWith(last with { IsLastPart = false }));
        Assert.False(Source(from: Eu).EndsWith(last with { Position = new(0x4f) }));
        Assert.False(Source(from: Us).EndsWith(last));
    }

    [Fact]
    [Trait("Story", "41")]
    public void Part_is_read_from_its_messages_as_it_was_received_however_they_cut_it()
    {
        byte[] bytes = [.. ReceivedParts.Write(new TransactionEncoder(int.MaxValue).Encode(EveryShape())).SelectMany(c => ((ReadOnlyMemory<byte>)c.Parameters[0].Value!).ToArray())];
        var reader = new ReceivedPartReader();
        for (var cut = 1; cut < bytes.Length; cut++)
        {
            Assert.Null(reader.Take(bytes.AsSpan(0, cut)));
            Assert.Equal(Describe(EveryShape()), Describe(reader.Take(bytes.AsSpan(cut))!));
        }

        // Another process numbers its relations anew; equal ones are one instance all the same.
        var other = ReceivedParts.Write(new TransactionEncoder(int.MaxValue).Encode(EveryShape())).Single();
        Assert.Same(reader.Take(bytes)!.Changes[0].Relation, reader.Take(((ReadOnlyMemory<byte>)other.Parameters[0].Value!).Span)!.Changes[0].Relation);
        Assert.Equal(ReplicationErrorKind.Corrupt, Assert.Throws<ReplicationException>(() => reader.Take([.. bytes, 0])).Kind);
    }

    private static PeerSource Source(NodeName from) => new(Us, Welcome with { From = from, Reach = new(0x50) }, null!, null!);
}
