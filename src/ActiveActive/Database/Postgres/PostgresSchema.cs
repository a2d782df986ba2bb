namespace ActiveActive.Database.Postgres;

/// <summary>
/// The schema <c>active_active</c>, as a list of steps. A database is at step N when <c>active_active.schema_version</c> says so;
/// set-up runs the missing steps in one transaction. Steps are never edited once published, only added.
/// </summary>
internal static class PostgresSchema
{
    public static readonly IReadOnlyList<string> Steps =
    [
        """
        CREATE SCHEMA IF NOT EXISTS active_active;
        CREATE TABLE IF NOT EXISTS active_active.schema_version (
            step       integer PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );

        -- The node that lives in this database, and each peer as it was first met: a copy or another database is told apart.
        CREATE TABLE active_active.node (
            name              text PRIMARY KEY,
            is_local          boolean NOT NULL,
            system_identifier numeric(20) NOT NULL,
            timeline          bigint NOT NULL,
            database_oid      bigint NOT NULL,
            incarnation       uuid NOT NULL,
            first_seen        timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE UNIQUE INDEX node_one_local ON active_active.node (is_local) WHERE is_local;

        -- Where capture starts and what it knew there: one row.
        CREATE TABLE active_active.checkpoint (
            only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            position       pg_lsn NOT NULL,
            greatest_stamp bigint NOT NULL,
            applied        jsonb NOT NULL,
            last_published pg_lsn NOT NULL DEFAULT '0/0'
        );
        COMMENT ON COLUMN active_active.checkpoint.greatest_stamp IS 'microseconds since 2000-01-01 UTC';

        -- Deletes until they are causally stable; an empty key is a TRUNCATE of the table. Stamps are microseconds since 2000-01-01 UTC.
        CREATE TABLE active_active.tombstone (
            table_name text COLLATE "C" NOT NULL,
            key        text COLLATE "C" NOT NULL,
            stamp      bigint NOT NULL,
            origin     text NOT NULL,
            position   pg_lsn NOT NULL,
            PRIMARY KEY (table_name, key)
        );

        -- The true version of rows whose xmin shows another one; valid while the row's xmin is xid.
        CREATE TABLE active_active.version_override (
            table_name text NOT NULL,
            key        text NOT NULL,
            xid        bigint NOT NULL,
            stamp      bigint NOT NULL,
            origin     text NOT NULL,
            position   pg_lsn NOT NULL,
            PRIMARY KEY (table_name, key)
        );
        CREATE INDEX version_override_origin ON active_active.version_override (origin, position);

        -- The concurrent versions that a key's state was folded from; valid while the row's xmin is xid; 0: while the row is missing.
        -- versions: [{"stamp": 1, "origin": "eu", "position": "0/1", "row": {"id": "1"} or null}, ...]
        CREATE TABLE active_active.sibling (
            table_name text NOT NULL,
            key        text NOT NULL,
            xid        bigint NOT NULL,
            versions   jsonb NOT NULL,
            PRIMARY KEY (table_name, key)
        );

        CREATE TABLE active_active.conflict (
            id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
            table_name      text NOT NULL,
            key             jsonb NOT NULL,
            type            text NOT NULL,
            local_row       jsonb,
            local_stamp     timestamptz,
            local_origin    text,
            local_position  pg_lsn,
            remote_row      jsonb,
            remote_stamp    timestamptz,
            remote_origin   text NOT NULL,
            remote_position pg_lsn NOT NULL,
            outcome         text NOT NULL,
            winner          text NOT NULL,
            resolver        text NOT NULL,
            reason          text NOT NULL
        );
        CREATE INDEX conflict_recorded_at ON active_active.conflict (recorded_at);
        CREATE INDEX conflict_table ON active_active.conflict (table_name, id);

        -- Transactions of peers that were put aside whole, until they are retried or discarded. keys: the rows that they write,
        -- {"public.t": ["[\"1\"]"]}, null for all of a table's; not jsonb, which
        -- takes no character that the database's encoding lacks. dependencies: what their writers had seen.
        CREATE TABLE active_active.quarantine (
            id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            origin        text NOT NULL,
            position      pg_lsn NOT NULL,
            stamp         bigint NOT NULL,
            dependencies  jsonb NOT NULL,
            parts         integer NOT NULL,
            changes       bigint NOT NULL,
            keys          text NOT NULL,
            code          text NOT NULL,
            reason        text NOT NULL,
            attempts      integer NOT NULL,
            first_attempt timestamptz NOT NULL,
            last_attempt  timestamptz NOT NULL,
            UNIQUE (origin, position)
        );
        -- Their changes, in the form in which they came.
        CREATE TABLE active_active.quarantine_part (
            origin   text NOT NULL,
            position pg_lsn NOT NULL,
            part     integer NOT NULL,
            content  bytea NOT NULL,
            PRIMARY KEY (origin, position, part)
        );
        """,
        """
        -- Rows that lost a unique value to a later write: out of sight, and versions of their keys all the same, until the value is free. An entry counts
        -- while its key has no visible row and no newer tombstone. row: texts by column name; json, which keeps every text as it is. winner: the key of
        -- the row that had the value.
        CREATE TABLE active_active.unique_loser (
            table_name text NOT NULL,
            key        text NOT NULL,
            "row"      json NOT NULL,
            stamp      bigint NOT NULL,
            origin     text NOT NULL,
            position   pg_lsn NOT NULL,
            winner     text,
            PRIMARY KEY (table_name, key)
        );
        -- Of a row that a loser is compared with: never collected.
        ALTER TABLE active_active.version_override ADD COLUMN is_kept boolean NOT NULL DEFAULT false;
        CREATE INDEX version_override_kept ON active_active.version_override (table_name) WHERE is_kept;
        """,
        """
        -- The file of each table (or partition) when its rows' versions were last known to be right; a rewrite gives it another one. What is not here
        -- has the file with its OID as number, which a table is created with.
        CREATE TABLE active_active.table_file (
            table_oid oid PRIMARY KEY,
            file      oid NOT NULL
        );
        -- Transactions that have rewritten rows which they had not written. A row that shows one of them and has no override is older than all that can still arrive.
        CREATE TABLE active_active.rewriter (
            table_name text NOT NULL,
            xid        bigint NOT NULL,
            PRIMARY KEY (table_name, xid)
        );
        -- Work tables of the search for the versions of a table's rows; empty when that is over. For each key the last write in the log: the id that its row
        -- shows if nothing has rewritten it, and its version (null: the override that the same transaction left tells it). And which local transactions the log holds.
        CREATE UNLOGGED TABLE active_active.logged_write (
            key      text PRIMARY KEY,
            xid      bigint NOT NULL,
            stamp    bigint,
            origin   text,
            position pg_lsn
        );
        CREATE UNLOGGED TABLE active_active.logged_transaction (xid bigint PRIMARY KEY);
        """,
        """
        -- Rows that were moved out of sight because a foreign key of theirs names a missing row. The one table here that replicates: every node has them.
        -- row: texts by column name. is_replaced: another row has the key; it does not come back by itself.
        CREATE TABLE active_active.orphan (
            table_name      text NOT NULL,
            key             text NOT NULL,
            constraint_name text NOT NULL,
            "row"           json NOT NULL,
            is_replaced     boolean NOT NULL DEFAULT false,
            PRIMARY KEY (table_name, key)
        );
        """,
        """
        -- What stands in active_active.tombstone, for many rows of a table that one transaction deleted: a row for each costs a hundred times as much. A key is in the bucket
        -- that hashtext gives it (on-disk hash indexes rest on that function, so it stays as it is); digest tells the parts of a transaction apart.
        CREATE TABLE active_active.tombstone_block (
            table_name text COLLATE "C" NOT NULL,
            bucket     integer NOT NULL,
            origin     text NOT NULL,
            position   pg_lsn NOT NULL,
            digest     bigint NOT NULL,
            stamp      bigint NOT NULL,
            keys       text[] COLLATE "C" NOT NULL,
            noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (table_name, bucket, origin, position, digest)
        );
        """,
        $$"""
        -- The nodes of the cluster. One that is joining has not its copy of the data yet; of one that is parted, nothing comes after reach.
        CREATE TABLE active_active.member (
            name   text PRIMARY KEY,
            state  text NOT NULL CHECK (state IN ('joining', 'joined', 'parting', 'parted')),
            reason text,
            reach  pg_lsn NOT NULL DEFAULT '0/0',
            since  timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        -- While this node gets its copy of the data: which try it is, and from whom it comes where the node had data of its own. With this row the guard falls.
        CREATE TABLE active_active.joining (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            attempt  uuid NOT NULL,
            donor    text
        );
        -- The guard's trigger function. An application's role may not read the row.
        CREATE FUNCTION active_active.refuse_while_joining() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $guard$
        BEGIN
            IF EXISTS (SELECT FROM active_active.joining) THEN
                RAISE EXCEPTION '{{JoinGuard.Code}}: this node is joining the cluster: % on %.% is refused until it has its copy of the data', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Write on another node until this one has joined.';
            END IF;
            RETURN NULL;
        END $guard$;
        """,
        """
        -- What the instance that leads says of the node and its peers, as JSON (docs/TOOL.md). Unlogged: it costs no log, and is made anew after a crash. Nothing here replicates.
        CREATE UNLOGGED TABLE active_active.report (
            only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            instance    text NOT NULL,
            reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            content     jsonb NOT NULL
        ) WITH (fillfactor = 50);

        -- What the node is asked to do, by the tool or by anyone: the instance that leads takes it up within a second.
        CREATE TABLE active_active.command (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            verb        text NOT NULL,
            arguments   jsonb NOT NULL DEFAULT '{}',
            asked_by    text NOT NULL DEFAULT session_user,
            asked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
            valid_until timestamptz NOT NULL DEFAULT clock_timestamp() + interval '30 seconds',
            state       text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'running', 'done', 'failed', 'withdrawn')),
            taken_by    text,
            taken_at    timestamptz,
            ended_at    timestamptz,
            result      jsonb,
            code        text,
            error       text
        );
        COMMENT ON COLUMN active_active.command.valid_until IS 'taken up by then, or never';
        CREATE INDEX command_open ON active_active.command (id) WHERE state IN ('asked', 'running');

        -- Peers whose transactions are not applied here until somebody resumes them.
        CREATE TABLE active_active.paused_peer (
            peer  text PRIMARY KEY,
            since timestamptz NOT NULL DEFAULT clock_timestamp()
        );

        -- The node as it reports itself, and what the catalogs say now. is_live: whether the instance that reported still has its session.
        CREATE VIEW active_active.node_status AS
        SELECT
            c.node, c.state, c.message, c.instance,
            EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() AND starts_with(a.application_name, 'active_active instance ' || r.instance || ' ')) AS is_live,
            r.reported_at, c."libraryVersion" AS library_version, pg_catalog.current_setting('server_version') AS server_version,
            c."publishedPosition" AS published_position, p.position AS checkpoint_position, s.slot_name::text AS slot, s.wal_status,
            pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint AS retained_bytes,
            c.conflicts, (SELECT count(*) FROM active_active.quarantine) AS quarantined
        FROM active_active.report r
        CROSS JOIN LATERAL jsonb_to_record(r.content) AS c (node text, state text, message text, instance text, "libraryVersion" text, "publishedPosition" pg_lsn, conflicts bigint)
        LEFT JOIN active_active.checkpoint p ON true
        LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = 'active_active_' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database());

        -- Each other node of the cluster as this one sees it.
        CREATE VIEW active_active.peer_status AS
        SELECT
            c.node, p.peer, p.addresses, p.membership, p.receiving, p.sending, m.since AS paused_since, p.message, p."settingDifferences" AS setting_differences,
            p."appliedPosition" AS applied_position, p."receivedPosition" AS received_position, p."sentPosition" AS sent_position, p."acknowledgedPosition" AS acknowledged_position,
            p."lagBytes" AS lag_bytes, p."lagSeconds" * interval '1 second' AS lag_time, p."relayedBy" AS relayed_by,
            p.protocol, p."libraryVersion" AS library_version, p."serverVersion" AS server_version, r.reported_at
        FROM active_active.report r
        CROSS JOIN LATERAL jsonb_to_record(r.content) AS c (node text, peers jsonb)
        CROSS JOIN LATERAL jsonb_to_recordset(c.peers) AS p (
            peer text, addresses text[], membership text, receiving text, sending text, message text, "settingDifferences" text[],
            "appliedPosition" pg_lsn, "receivedPosition" pg_lsn, "sentPosition" pg_lsn, "acknowledgedPosition" pg_lsn,
            "lagBytes" bigint, "lagSeconds" double precision, "relayedBy" text, protocol integer, "libraryVersion" text, "serverVersion" text)
        LEFT JOIN active_active.paused_peer m ON m.peer = p.peer;
        """,
    ];
}
