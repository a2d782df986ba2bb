using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Apply;

public sealed class KeyGateTests
{
    private static readonly NodeName s_a = new("a");
    private static readonly NodeName s_b = new("b");
    private static readonly NodeName s_c = new("c");
    private static readonly LocalTable s_table = new(
        TableName.Parse("public.t"), [new LocalColumn("id", "integer")], [0], new TableSettings([], null));

    [Fact]
    public async Task One_enters_at_a_time_where_keys_are_shared_and_together_where_not()
    {
        var gate = Settled(s_a, s_b, s_c);
        await EnterAsync(gate, s_a, [1, 2]);
        var waiting = EnterAsync(gate, s_b, [2, 3]);
        Assert.False(waiting.IsCompleted);
        await EnterAsync(gate, s_c, [4]);
        gate.Settle(s_a, isCommitted: true);
        await waiting;
        Assert.False(gate.Holds(s_a));
        Assert.True(gate.Holds(s_b));
    }

    [Fact]
    public async Task Nobody_overtakes_one_who_waits_for_the_same_key()
    {
        var gate = Settled(s_a, s_b, s_c);
        await EnterAsync(gate, s_a, [1]);
        var first = EnterAsync(gate, s_b, [1, 2]);
        var second = EnterAsync(gate, s_c, [2]);
        Assert.False(second.IsCompleted);
        gate.Settle(s_a, isCommitted: true);
        await first;
        AssertNobodyElseIsIn(gate, s_b, 2);
        gate.Settle(s_b, isCommitted: true);
        await second;
    }

    [Fact]
    public async Task One_who_waits_does_not_enter_while_a_later_one_has_taken_its_key_since()
    {
        var gate = Settled(s_a, s_b, s_c);
        await EnterAsync(gate, s_a, [1]);
        var waiting = EnterAsync(gate, s_b, [1, 2]);
        await EnterAsync(gate, s_c, [3]);
        gate.Extend(s_c, Keys(2), isAlone: false);
        gate.Settle(s_a, isCommitted: true);
        AssertNobodyElseIsIn(gate, s_c, 2);
        gate.Settle(s_c, isCommitted: true);
        await waiting;
    }

    [Fact]
    public async Task One_that_goes_alone_waits_for_all_and_all_for_it()
    {
        var gate = Settled(s_a, s_b, s_c);
        await EnterAsync(gate, s_a, [1]);
        var alone = gate.EnterAsync(s_b, [], isAlone: true, default).AsTask();
        var behind = EnterAsync(gate, s_c, [9]);
        Assert.False(alone.IsCompleted);
        gate.Settle(s_a, isCommitted: true);
        await alone;
        AssertNobodyElseIsIn(gate, s_b, 9);
        gate.Settle(s_b, isCommitted: true);
        await behind;
    }

    [Fact]
    public async Task Nobody_enters_before_each_origins_session_is_held()
    {
        var gate = new KeyGate([s_a, s_b]);
        gate.Settle(s_a, isCommitted: false);
        var waiting = EnterAsync(gate, s_a, [1]);
        Assert.False(waiting.IsCompleted);
        gate.Settle(s_b, isCommitted: false);
        await waiting;
    }

    [Fact]
    public async Task Who_gives_up_waiting_is_in_nobodys_way()
    {
        var gate = Settled(s_a, s_b, s_c);
        await EnterAsync(gate, s_a, [1]);
        using var cancelled = new CancellationTokenSource();
        var gone = gate.EnterAsync(s_b, Keys(1, 2), isAlone: false, cancelled.Token).AsTask();
        var behind = EnterAsync(gate, s_c, [2]);
        Assert.False(behind.IsCompleted);
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);
        await behind;
        Assert.False(gate.Holds(s_b));
    }

    [Fact]
    public async Task Origin_whose_last_transaction_may_still_commit_neither_enters_nor_waits_for_itself()
    {
        var gate = Settled(s_a, s_b);
        await EnterAsync(gate, s_a, [1]);
        var again = EnterAsync(gate, s_a, [1]);
        Assert.True(again.IsFaulted, "It waits for itself.");
        Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => again)).Kind);
        var waiting = EnterAsync(gate, s_b, [1]);
        Assert.False(waiting.IsCompleted);
        gate.Settle(s_a, isCommitted: false);
        await waiting;
        await EnterAsync(gate, s_a, [2]);
    }

    [Fact]
    public async Task A_later_part_never_waits_and_its_transaction_then_goes_alone_until_it_commits()
    {
        var gate = Settled(s_a, s_b);
        await EnterAsync(gate, s_a, [1]);
        await EnterAsync(gate, s_b, [2]);
        gate.Extend(s_a, Keys(3), isAlone: false);
        Assert.Equal(ReplicationErrorKind.Transient, Assert.Throws<ReplicationException>(() => gate.Extend(s_a, Keys(2), isAlone: false)).Kind);
        gate.Settle(s_a, isCommitted: false);
        var again = EnterAsync(gate, s_a, [1]);
        Assert.False(again.IsCompleted);
        gate.Settle(s_b, isCommitted: true);
        await again;
        gate.Extend(s_a, Keys(2), isAlone: true);
        gate.Settle(s_a, isCommitted: true);
        await EnterAsync(gate, s_b, [2]);
        await EnterAsync(gate, s_a, [1]);
    }

    // A task that waits tells nothing here: it completes a moment after its transaction was let in. Who is in is met at once.
    private static void AssertNobodyElseIsIn(KeyGate gate, NodeName holder, int key) => gate.Extend(holder, Keys(key), isAlone: false);

    private static KeyGate Settled(params NodeName[] origins)
    {
        var gate = new KeyGate(origins);
        foreach (var origin in origins) gate.Settle(origin, isCommitted: false);
        return gate;
    }

    private static Task EnterAsync(KeyGate gate, NodeName origin, int[] keys) => gate.EnterAsync(origin, Keys(keys), isAlone: false, default).AsTask();

    private static List<LocalKey> Keys(params int[] keys) =>
        [.. keys.Select(k => new LocalKey(s_table, new RowKey(s_table.Name, [k.ToString(System.Globalization.CultureInfo.InvariantCulture)])))];
}
