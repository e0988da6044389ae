-- The two users of the target, with no more than they need. Replace the four names everywhere:
--   shop                the database          loyalty             the schema of the domain's tables
--   midflight_worker    the worker's user     loyalty_app         the application's user
-- Give passwords as your company does it (\password, SCRAM, certificates); none are set here.

-- 1. Before the first move, by an administrator. ----------------------------------------------------------------------

create role midflight_worker login;
create role loyalty_app login;

-- The worker makes the ledger and the tables, and owns both: it writes past the fence and may move the authority.
grant connect, create, temporary on database shop to midflight_worker;
-- A schema that exists already must let the worker in: grant usage, create on schema loyalty to midflight_worker;

-- The library keeps what it is about to apply in temporary tables.
grant connect, temporary on database shop to loyalty_app;

-- 2. By the worker's user or an administrator, after the phase `prepare` of each move, before the application is
--    deployed with the library. Repeating is safe. -------------------------------------------------------------------

grant usage on schema loyalty to loyalty_app;
grant select, insert, update, delete on all tables in schema loyalty to loyalty_app;

grant usage on schema midflight to loyalty_app;
grant usage on sequence midflight.clock to loyalty_app;
grant select on midflight.version, midflight.domains, midflight.collections, midflight.positions to loyalty_app;
-- To lock the authority row FOR SHARE, PostgreSQL asks for the right to update some column: one that decides nothing.
grant update (updated_at) on midflight.domains to loyalty_app;
-- Shadow writes: guard rows, a look at the dirty marks, and the quarantine for what a table does not take.
grant select on midflight.dirty to loyalty_app;
grant select, insert, update on midflight.guards to loyalty_app;
grant select, insert, update, delete on midflight.quarantine to loyalty_app;
-- Leases and acknowledgements, and what reads showed.
grant select, insert, update, delete on midflight.instances, midflight.reads, midflight.read_mismatches to loyalty_app;
