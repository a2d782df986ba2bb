using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Compliance.Database;
using ActiveActive.Database;
using static ActiveActive.Compliance.Database.ComplianceTable;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Tests.Database;

public sealed class InMemoryLockTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Uncommitted_writes_are_seen_by_their_transaction_alone()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        using var writer = fixture.Memory.BeginLocal();
        using var reader = fixture.Memory.BeginLocal();
        await fixture.RunAsync(writer, Items.Update(Items.KeyOf("1"), ("name", "uno")));
        await fixture.RunAsync(writer, Items.Insert("2", "two", null));

        Assert.Equal("uno", writer.Read(fixture.Table(Items), Items.KeyOf("1"))![1].Text);
        Assert.Equal("one", reader.Read(fixture.Table(Items), Items.KeyOf("1"))![1].Text);
        Assert.Null(reader.Read(fixture.Table(Items), Items.KeyOf("2")));
        Assert.Null(await reader.ReadForUpdateAsync(fixture.Table(Items), Items.KeyOf("2"), Token));

        writer.Commit();
        Assert.Equal("uno", reader.Read(fixture.Table(Items), Items.KeyOf("1"))![1].Text);
    }

    [Fact]
    public async Task Writers_of_one_row_wait_in_turn_and_see_what_the_one_before_left()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Accounts.Insert("1", "ann", "0"));
        var table = fixture.Table(Accounts);
        using var first = fixture.Memory.BeginLocal();
        using var second = fixture.Memory.BeginLocal();
        using var third = fixture.Memory.BeginLocal();
        await fixture.RunAsync(first, Accounts.Update(Accounts.KeyOf("1"), ("balance", "1")));

        var secondReads = second.ReadForUpdateAsync(table, Accounts.KeyOf("1"), Token).AsTask();
        var thirdDeletes = third.DeleteAsync(table, Accounts.KeyOf("1"), Token).AsTask();
        Assert.False(secondReads.IsCompleted || thirdDeletes.IsCompleted);
        first.Commit();

        Assert.Equal("1", (await secondReads.WaitAsync(s_limit, Token))![2].Text);
        Assert.False(thirdDeletes.IsCompleted);
        await fixture.RunAsync(second, Accounts.Delete(Accounts.KeyOf("1")));
        second.Commit();
        Assert.False(await thirdDeletes.WaitAsync(s_limit, Token));
    }

    [Fact]
    public async Task Insert_waits_for_an_uncommitted_insert_of_its_key()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await using var session = await fixture.Database.OpenApplySessionAsync(Us, Token);
        using var local = fixture.Memory.BeginLocal();
        await fixture.RunAsync(local, Items.Insert("1", "local", null));
        await session.BeginAsync(Token);
        var plan = new ApplyPlan { Writes = { new InsertRow(fixture.Table(Items), [ColumnValue.Of("1"), ColumnValue.Null, ColumnValue.Null]) } };

        Assert.Null(Assert.Single(await session.ReadKeysAsync([new(fixture.Table(Items), Items.KeyOf("1"))], Token)).Row);
        var applying = session.ExecuteAsync(plan, Token).AsTask();
        Assert.False(applying.IsCompleted);
        local.Commit();

        var error = await Assert.ThrowsAsync<ReplicationException>(() => applying.WaitAsync(s_limit, Token));
        Assert.Equal(ReplicationErrorKind.Transient, error.Kind);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await session.CommitAsync(new(1), default, Token));
    }

    [Fact]
    public async Task Circle_of_waits_fails_the_one_that_would_close_it()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null), Items.Insert("2", "two", null), Items.Insert("3", "three", null));
        using var a = fixture.Memory.BeginLocal();
        using var b = fixture.Memory.BeginLocal();
        using var c = fixture.Memory.BeginLocal();
        await fixture.RunAsync(a, Items.Delete(Items.KeyOf("1")));
        await fixture.RunAsync(b, Items.Delete(Items.KeyOf("2")));
        await fixture.RunAsync(c, Items.Delete(Items.KeyOf("3")));
        var aWaits = fixture.RunAsync(a, Items.Delete(Items.KeyOf("2"))).AsTask();
        var bWaits = fixture.RunAsync(b, Items.Delete(Items.KeyOf("3"))).AsTask();

        var error = await Assert.ThrowsAsync<ReplicationException>(async () => await fixture.RunAsync(c, Items.Delete(Items.KeyOf("1"))));

        Assert.Equal(ReplicationErrorKind.Transient, error.Kind);
        Assert.False(aWaits.IsCompleted || bWaits.IsCompleted);
        c.Rollback();
        Assert.True(await bWaits.WaitAsync(s_limit, Token));
        b.Commit();
        Assert.False(await aWaits.WaitAsync(s_limit, Token));
        a.Commit();
        Assert.Empty(await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Truncate_waits_for_writers_and_keeps_them_out()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        using var writer = fixture.Memory.BeginLocal();
        using var truncating = fixture.Memory.BeginLocal();
        using var late = fixture.Memory.BeginLocal();
        await fixture.RunAsync(writer, Items.Insert("1", "one", null));

        var truncate = fixture.RunAsync(truncating, Items.Truncate()).AsTask();
        Assert.False(truncate.IsCompleted);
        writer.Commit();
        await truncate.WaitAsync(s_limit, Token);
        var insert = fixture.RunAsync(late, Items.Insert("1", "late", null)).AsTask();
        Assert.False(insert.IsCompleted);
        Assert.Equal(["1|one|∅"], await fixture.ReadRowsAsync(Items));
        truncating.Commit();

        Assert.True(await insert.WaitAsync(s_limit, Token));
        late.Commit();
        Assert.Equal(["1|late|∅"], await fixture.ReadRowsAsync(Items));
    }

    [Fact]
    public async Task Cancelled_wait_leaves_the_queue()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null));
        using var holder = fixture.Memory.BeginLocal();
        using var cancelled = fixture.Memory.BeginLocal();
        using var next = fixture.Memory.BeginLocal();
        using var stop = new CancellationTokenSource();
        await holder.ReadForUpdateAsync(fixture.Table(Items), Items.KeyOf("1"), Token);
        var gaveUp = cancelled.DeleteAsync(fixture.Table(Items), Items.KeyOf("1"), stop.Token).AsTask();
        var waits = next.DeleteAsync(fixture.Table(Items), Items.KeyOf("1"), Token).AsTask();

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gaveUp);
        holder.Rollback();

        Assert.True(await waits.WaitAsync(s_limit, Token));
        Assert.Throws<InvalidOperationException>(() => cancelled.Commit());
    }

    [Fact]
    public async Task Moved_row_takes_its_new_key_or_stays()
    {
        await using var fixture = await InMemoryFixture.CreateAsync();
        await fixture.RunLocalAsync(Items.Insert("1", "one", null), Items.Insert("2", "two", null));
        using var transaction = fixture.Memory.BeginLocal();

        Assert.False(await fixture.RunAsync(transaction, Items.Update(Items.KeyOf("1"), ("id", "2"))));
        Assert.True(await fixture.RunAsync(transaction, Items.Update(Items.KeyOf("1"), ("id", "3"))));
        Assert.True(await fixture.RunAsync(transaction, Items.Insert("1", "new", null)));
        transaction.Commit();

        Assert.Equal(["1|new|∅", "2|two|∅", "3|one|∅"], await fixture.ReadRowsAsync(Items));
    }
}
