using ActiveActive.Changes;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

public sealed class PartQueueTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Queue_is_bounded_by_what_its_parts_hold_and_lets_a_large_one_in_when_it_is_empty()
    {
        var queue = new PartQueue(1000);
        await queue.WriteAsync(Part(1, 5000), Token);
        var second = queue.WriteAsync(Part(2, 10), Token).AsTask();
        Assert.False(second.IsCompleted);
        Assert.True(queue.TryRead(out var first));
        Assert.Equal(new(1), first.Position);
        await second;
        await queue.WriteAsync(Part(3, 10), Token);
        var full = queue.WriteAsync(Part(4, 900), Token).AsTask();
        Assert.False(full.IsCompleted);
        Assert.True(queue.TryPeek(out var next, out _));
        Assert.Equal(new(2), next.Position);
        Assert.True(queue.TryRead(out _));
        Assert.True(queue.TryRead(out _));
        await full;
        queue.Complete();
        Assert.True(await queue.WaitToReadAsync(Token));
        Assert.True(queue.TryRead(out _));
        Assert.False(await queue.WaitToReadAsync(Token));
        Assert.False(queue.TryPeek(out _, out _));
    }

    [Fact]
    public async Task Writer_that_waits_for_room_can_be_stopped()
    {
        var queue = new PartQueue(10);
        await queue.WriteAsync(Part(1, 100), Token);
        using var stopped = new CancellationTokenSource();
        var waiting = queue.WriteAsync(Part(2, 100), stopped.Token).AsTask();
        await stopped.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    private static ChangeTransaction Part(ulong position, int characters)
    {
        var table = new TableName("public", "t");
        var relation = new Relation(table, table, [new RelationColumn("id", "text", 1)]);
        return new ChangeTransaction
        {
            Origin = new NodeName("a"), Position = new(position), Stamp = new(1), Dependencies = DependencyVector.Empty,
            Changes = [Change.Insert(relation, [ColumnValue.Of(new string('x', characters))])],
        };
    }
}
