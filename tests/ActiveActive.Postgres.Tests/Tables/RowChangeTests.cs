using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Tables;

/// <summary>Changes that are more than one row with a new value: keys that move, values out of line, large and partly undone transactions, TRUNCATE.</summary>
[Collection(ClusterServers.Tables)]
public sealed class RowChangeTests(ClusterServers servers)
{
    [Theory]
    [InlineData("DEFAULT")]
    [InlineData("FULL")]
    public async Task Keys_move_and_swap(string identity)
    {
        await using var cluster = await TwoNodes.StartAsync(servers, $"CREATE TABLE t (id int, part text, v text, PRIMARY KEY (id, part)); ALTER TABLE t REPLICA IDENTITY {identity};");
        await cluster[0].ExecuteAsync("INSERT INTO t VALUES (1, 'x', 'one'), (2, 'x', 'two'), (3, 'x', 'three')");
        await cluster.QuietAsync();
        await cluster[1].ExecuteAsync("BEGIN; UPDATE t SET id = 0 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 0; COMMIT");
        await cluster.AssertSameAsync("(1,x,two) (2,x,one) (3,x,three)", "SELECT * FROM t");
        await cluster[0].ExecuteAsync("UPDATE t SET id = id - 1 WHERE id = 1; UPDATE t SET id = id - 1 WHERE id = 2; UPDATE t SET id = id - 1, part = 'y', v = NULL WHERE id = 3");
        await cluster.AssertSameAsync("(0,x,two) (1,x,one) (2,y,)", "SELECT * FROM t");
        await cluster[0].ExecuteAsync("BEGIN; UPDATE t SET id = 9 WHERE id = 0; UPDATE t SET v = 'nine' WHERE id = 9; INSERT INTO t VALUES (0, 'x', 'new'); DELETE FROM t WHERE id = 9; COMMIT");
        await cluster.AssertSameAsync("(0,x,new) (1,x,one) (2,y,)", "SELECT * FROM t");
    }

    [Fact]
    [Trait("Run", "Long")]
    public async Task Table_that_is_created_while_the_nodes_run_replicates()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "CREATE TABLE t (id int PRIMARY KEY, v text);");
        const string Late = "CREATE TABLE late (id int PRIMARY KEY, v text); INSERT INTO late VALUES (0, 'before')";
        await cluster[0].ExecuteAsync(Late);
        await cluster[1].ExecuteAsync(Late);
        // It can't be replicated; nothing stops for that, and the other one does not wait for it.
        await cluster[1].ExecuteAsync("CREATE TABLE keyless (id int)");
        foreach (var node in cluster.Nodes)
        {
            await cluster.UntilAsync($"{node.Name} publishes it", async () => await node.ScalarAsync<long>("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'late'") == 1);
        }

        await cluster.UntilAsync("b names the table without a key", () => Task.FromResult(cluster.Log.Contains("AA3032: node 'b'", StringComparison.Ordinal)));
        await cluster.UntilAsync("both have said that its rows stay", () => Task.FromResult(cluster.Nodes.All(n => cluster.Log.Contains($"AA3031: node '{n.Name}'", StringComparison.Ordinal))));
        await cluster[0].ExecuteAsync("INSERT INTO late VALUES (1, 'a')");
        await cluster[1].ExecuteAsync("INSERT INTO late VALUES (2, 'b'); UPDATE late SET v = 'after' WHERE id = 0");
        await cluster.AssertSameAsync("(0,after) (1,a) (2,b)", "SELECT * FROM late");
    }

    [Fact]
    public async Task Row_with_a_key_that_is_too_long_for_an_index_of_texts_is_deleted()
    {
        // Nothing in it compresses: its own index holds the bytes, and as hexadecimal digits it is twice as long.
        await using var cluster = await TwoNodes.StartAsync(servers, "CREATE TABLE t (id bytea PRIMARY KEY, v text);");
        await cluster[0].ExecuteAsync("INSERT INTO t SELECT string_agg(sha512(int4send(i)), '' ORDER BY i), 'long' FROM generate_series(1, 40) i");
        await cluster.QuietAsync();
        await cluster[1].ExecuteAsync("DELETE FROM t");
        await cluster.AssertSameAsync("", "SELECT v FROM t");
        await cluster[0].ExecuteAsync("INSERT INTO t SELECT string_agg(sha512(int4send(i)), '' ORDER BY i), 'again' FROM generate_series(1, 40) i");
        await cluster.AssertSameAsync("(again)", "SELECT v FROM t");
    }

    [Theory]
    [InlineData("DEFAULT")]
    [InlineData("FULL")]
    public async Task A_value_out_of_line_stays_where_an_update_does_not_touch_it(string identity)
    {
        await using var cluster = await TwoNodes.StartAsync(servers, $"CREATE TABLE t (id int PRIMARY KEY, n int, big text, bytes bytea); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY {identity};");
        await cluster[0].ExecuteAsync("INSERT INTO t SELECT 1, 0, string_agg(chr(33 + i % 90), ''), decode(repeat('00ff27225c0d0a', 150000), 'hex') FROM generate_series(1, 1000000) i");
        await cluster.QuietAsync();
        await cluster[1].ExecuteAsync("UPDATE t SET n = n + 1");
        await cluster.QuietAsync();
        await cluster[0].ExecuteAsync("UPDATE t SET n = n + 1, bytes = bytes || '\\x00'");
        await cluster.QuietAsync();
        await cluster[1].ExecuteAsync("UPDATE t SET id = 2");
        const string Digest = "SELECT id, n, length(big) AS characters, md5(big) = (SELECT md5(string_agg(chr(33 + i % 90), '')) FROM generate_series(1, 1000000) i) AS same, length(bytes) AS bytes FROM t";
        await cluster.AssertSameAsync("(2,2,1000000,t,1050001)", Digest);
        await cluster.AssertIdenticalAsync("t");
    }

    [Fact]
    public async Task A_large_transaction_is_applied_whole_and_what_it_rolled_back_is_not()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "CREATE TABLE t (id int PRIMARY KEY, v text);");
        await cluster[0].ExecuteAsync("""
            BEGIN;
            INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 20000) i;
            SAVEPOINT one;
            UPDATE t SET v = 'undone';
            SAVEPOINT two;
            DELETE FROM t WHERE id % 2 = 0;
            ROLLBACK TO two;
            INSERT INTO t SELECT i, 'undone' FROM generate_series(20001, 20100) i;
            ROLLBACK TO one;
            SAVEPOINT three;
            UPDATE t SET v = 'kept' WHERE id <= 10;
            RELEASE three;
            DO $$ BEGIN
                FOR i IN 1..100 LOOP
                    BEGIN
                        INSERT INTO t VALUES (30000 + i, 'sub');
                        IF i % 2 = 0 THEN RAISE EXCEPTION 'undo'; END IF;
                    EXCEPTION WHEN raise_exception THEN
                    END;
                END LOOP;
            END $$;
            COMMIT;
            """);
        await cluster.AssertSameAsync("(20050,10,50)", "SELECT count(*), count(*) FILTER (WHERE v = 'kept'), count(*) FILTER (WHERE v = 'sub') FROM t");
        await cluster.AssertIdenticalAsync("t");
    }

    [Fact]
    public async Task Truncate_cascade_empties_the_same_tables()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, """
            CREATE TABLE a (id int PRIMARY KEY, n int GENERATED BY DEFAULT AS IDENTITY);
            CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a, self int REFERENCES b);
            CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b);
            CREATE TABLE other (id int PRIMARY KEY);
            """);
        await cluster[0].ExecuteAsync("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1, 1, 1), (2, 2, 1); INSERT INTO c VALUES (1, 2); INSERT INTO other VALUES (1)");
        await cluster.QuietAsync();
        await cluster[1].ExecuteAsync("BEGIN; INSERT INTO a VALUES (3); TRUNCATE a RESTART IDENTITY CASCADE; INSERT INTO a (id) VALUES (4); COMMIT");
        await cluster.AssertSameAsync("(a,4) (other,1)", "SELECT 'a', id FROM a UNION ALL SELECT 'b', id FROM b UNION ALL SELECT 'c', id FROM c UNION ALL SELECT 'other', id FROM other");
        await cluster[0].ExecuteAsync("TRUNCATE c, a, b, other");
        await cluster.AssertSameAsync("", "SELECT id FROM a UNION ALL SELECT id FROM other");
    }

    [Fact]
    public async Task Only_triggers_that_are_enabled_always_fire_on_apply()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, """
            CREATE TABLE t (id int PRIMARY KEY, v text);
            CREATE SCHEMA here;
            CREATE TABLE here.fired (name text, op text, id int);
            CREATE FUNCTION here.note() RETURNS trigger LANGUAGE plpgsql AS
                $f$ BEGIN INSERT INTO here.fired VALUES (TG_NAME, TG_OP, coalesce(new.id, old.id)); RETURN coalesce(new, old); END $f$;
            CREATE TRIGGER plain BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION here.note();
            CREATE TRIGGER always AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION here.note();
            CREATE TRIGGER replica AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION here.note();
            ALTER TABLE t ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER replica;
            """);
        await cluster[0].ExecuteAsync("INSERT INTO t VALUES (1, 'a'); UPDATE t SET v = 'b'; DELETE FROM t; INSERT INTO t VALUES (2, 'c')");
        await cluster.AssertSameAsync("(2,c)", "SELECT * FROM t");
        Assert.Equal("(always,DELETE,1)\n(always,INSERT,1)\n(always,INSERT,2)\n(always,UPDATE,1)\n(replica,INSERT,1)\n(replica,INSERT,2)", await cluster[1].DumpAsync("here.fired"));
        Assert.Equal(4, await cluster[0].ScalarAsync<long>("SELECT count(*) FROM here.fired WHERE name = 'plain'"));
    }

    [Fact]
    public async Task Foreign_keys_and_deferred_constraints_were_checked_where_the_rows_were_written()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, """
            CREATE TABLE parent (id int PRIMARY KEY, rank int UNIQUE DEFERRABLE INITIALLY DEFERRED);
            CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
            """);
        await cluster[0].ExecuteAsync("BEGIN; INSERT INTO child VALUES (1, 1), (2, 2); INSERT INTO parent VALUES (1, 1), (2, 2); COMMIT");
        await cluster.QuietAsync();

        // Ranks swap in one statement, which a deferred constraint allows; the cascade deletes the child once.
        await cluster[1].ExecuteAsync("UPDATE parent SET rank = 3 - rank");
        await cluster.AssertSameAsync("(1,2) (2,1)", "SELECT * FROM parent");
        await cluster[1].ExecuteAsync("DELETE FROM parent WHERE id = 1");
        await cluster.AssertSameAsync("(2,2)", "SELECT * FROM child");

        // No check on apply: b lacks the constraint's other half.
        await cluster[1].ExecuteAsync("ALTER TABLE child DROP CONSTRAINT child_parent_fkey; INSERT INTO child VALUES (3, 99)");
        await cluster.AssertSameAsync("(2,2) (3,99)", "SELECT * FROM child");
    }
}
