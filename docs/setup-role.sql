-- Gives a role what ActiveActive needs in one database. Run once per database, connected to that database, as a superuser (on a
-- managed service: see docs/SETUP.md). Running it again does no harm. The role becomes no superuser.
--
--   psql -d app -v role=app_replicator -v database=app -v owner=app_owner -f setup-role.sql
--
-- role:     the role in the node's connection string; created if it does not exist (give it a password afterwards: \password)
-- database: the database that you are connected to
-- owner:    the role that owns the replicated tables; may be the same as role. More owners: GRANT each of them, too.

-- psql does not replace variables inside $$, so they travel as settings of this session.
SELECT set_config('active_active.role', :'role', false), set_config('active_active.owner', :'owner', false);

DO $$
DECLARE
    role_name  text := current_setting('active_active.role');
    owner_name text := current_setting('active_active.owner');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format('CREATE ROLE %I', role_name);
    END IF;

    -- Only an owner may publish a table or change its replica identity.
    IF owner_name <> role_name AND NOT pg_has_role(role_name, owner_name, 'USAGE') THEN
        EXECUTE format('GRANT %I TO %I', owner_name, role_name);
    END IF;
END
$$;

-- Replication slots and replication connections. An attribute: membership in another role does not pass it on.
ALTER ROLE :"role" LOGIN INHERIT REPLICATION;

-- The schema and the publication active_active.
GRANT CONNECT, CREATE ON DATABASE :"database" TO :"role";

-- Applied changes must not fire the triggers and foreign keys that have fired on the node where they were made.
GRANT SET ON PARAMETER session_replication_role TO :"role";

-- Applied transactions carry the position and commit timestamp of their origin. Functions are granted per database.
GRANT EXECUTE ON FUNCTION
    pg_catalog.pg_replication_origin_create(text),
    pg_catalog.pg_replication_origin_drop(text),
    pg_catalog.pg_replication_origin_oid(text),
    pg_catalog.pg_replication_origin_session_setup(text),
    pg_catalog.pg_replication_origin_session_reset(),
    pg_catalog.pg_replication_origin_session_is_setup(),
    pg_catalog.pg_replication_origin_session_progress(boolean),
    pg_catalog.pg_replication_origin_xact_setup(pg_lsn, timestamptz),
    pg_catalog.pg_replication_origin_xact_reset(),
    pg_catalog.pg_replication_origin_advance(text, pg_lsn),
    pg_catalog.pg_replication_origin_progress(text, boolean)
TO :"role";
