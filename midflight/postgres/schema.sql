-- The ledger: everything Midflight remembers, in the target, in a schema of its own. Dropped when a domain is finished.
-- Every statement may be repeated. A new version adds statements below and raises the number at the end.

create schema if not exists midflight;

create table if not exists midflight.version (
    only_row boolean primary key default true check (only_row),
    version integer not null,
    installed_at timestamptz not null default now()
);

-- A value drawn later is larger: no cache, or two sessions would hand out values of different ages.
create sequence if not exists midflight.clock as bigint cache 1;

-- The authority row, one a domain. Who applies locks it FOR SHARE; who moves the authority updates it.
create table if not exists midflight.domains (
    domain text primary key,
    fingerprint text not null,
    plan jsonb not null,
    authority text not null default 'source' check (authority in ('source', 'target')),
    epoch bigint not null default 1,
    accepting boolean not null default false,
    stage text not null default 'off',
    reads_bp integer not null default 0 check (reads_bp between 0 and 10000),
    dark_reads_bp integer not null default 0 check (dark_reads_bp between 0 and 10000),
    updated_at timestamptz not null default now()
) with (fillfactor = 50);

create table if not exists midflight.collections (
    id integer generated always as identity primary key,
    domain text not null references midflight.domains,
    collection text not null,
    unique (domain, collection)
);

create table if not exists midflight.target_tables (
    schema_name text not null,
    table_name text not null,
    domain text not null references midflight.domains,
    primary key (schema_name, table_name)
);

-- Guard rows: version guard, tombstone and audit trail of every key. Room on each page keeps updates in place (HOT);
-- vacuum comes early because the tail updates the same rows again and again.
create table if not exists midflight.guards (
    collection_id integer not null,
    key bytea not null,
    token bigint not null,
    deleted boolean not null,
    refused boolean not null,
    checksum bytea not null,
    applied_at timestamptz not null,
    path text not null,
    primary key (collection_id, key)
) with (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05
);

-- "What changed since token T" without a write for every guard row: a block range index costs next to nothing.
create index if not exists guards_token on midflight.guards
    using brin (token) with (pages_per_range = 32, autosummarize = on);

create table if not exists midflight.partitions (
    collection_id integer not null,
    number integer not null,
    lower_key bytea,
    upper_key bytea,
    cursor bytea,
    batches bigint not null default 0,
    documents bigint not null default 0,
    done boolean not null default false,
    primary key (collection_id, number)
) with (fillfactor = 50);

create table if not exists midflight.positions (
    domain text primary key references midflight.domains,
    token bytea not null,
    commits bigint not null default 0,
    mark bigint not null default 0,
    events bigint not null default 0,
    lag_seconds double precision,
    reported_at timestamptz
) with (fillfactor = 50);

create table if not exists midflight.quarantine (
    number bigint generated always as identity unique,
    domain text not null,
    collection_id integer not null,
    key bytea not null,
    token bigint not null,
    checksum bytea not null,
    field text not null,
    value_type text not null,
    column_name text not null,
    reason text not null,
    path text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    waived_by text,
    waived_reason text,
    waived_at timestamptz,
    primary key (collection_id, key)
);

create index if not exists quarantine_domain on midflight.quarantine (domain, number);

create table if not exists midflight.audit (
    number bigint generated always as identity primary key,
    domain text not null,
    at timestamptz not null default clock_timestamp(),
    kind text not null,
    person text not null,
    details jsonb not null
);

create index if not exists audit_domain on midflight.audit (domain, number);

-- --- version 2: the application's library, the fence of the target, the way back --------------------------------------

-- `revision` counts every change of the row (what instances acknowledge), `staged_at` says since when it holds.
alter table midflight.domains add column if not exists revision bigint not null default 1;
alter table midflight.domains add column if not exists staged_at timestamptz not null default now();

create or replace function midflight.note_change() returns trigger language plpgsql as $$
begin
    if (new.authority, new.epoch, new.accepting, new.stage, new.reads_bp, new.dark_reads_bp) is distinct from
       (old.authority, old.epoch, old.accepting, old.stage, old.reads_bp, old.dark_reads_bp) then
        new.revision := old.revision + 1;
        new.staged_at := clock_timestamp();
        perform pg_notify('midflight', new.domain);
    end if;
    return new;
end $$;

create or replace trigger note_change before update on midflight.domains
    for each row execute function midflight.note_change();

-- Who runs the application's library. `oldest_revision`: of the writes in flight, null when there are none.
create table if not exists midflight.instances (
    domain text not null references midflight.domains,
    instance text not null,
    seen_revision bigint not null,
    oldest_revision bigint,
    oldest_seconds double precision,
    lease_until timestamptz not null,
    polled_at timestamptz not null default clock_timestamp(),
    library text not null default '',
    primary key (domain, instance)
) with (fillfactor = 50);

-- Dirty marks: keys that the application changed at the target. A row stays once it is there, so that `seq` of a key
-- only grows; it is pending while `seq > written_back`. `rest` is the rest column of a root row that was deleted.
create table if not exists midflight.dirty (
    collection_id integer not null,
    row_key text not null,
    seq bigint not null,
    written_back bigint not null default 0,
    rest jsonb,
    refused text,
    primary key (collection_id, row_key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

create index if not exists dirty_pending on midflight.dirty (collection_id, seq) where seq > written_back;

-- What the application's reads showed, in batches. Latencies are histograms over `midflight.core.histogram.BOUNDS`.
create table if not exists midflight.reads (
    number bigint generated always as identity primary key,
    domain text not null references midflight.domains,
    at timestamptz not null default clock_timestamp(),
    instance text not null,
    operation text not null,
    revision bigint not null,
    compared bigint not null default 0,
    equal bigint not null default 0,
    ignored bigint not null default 0,
    unclear bigint not null default 0,
    dropped bigint not null default 0,
    fallbacks bigint not null default 0,
    shadow_skipped bigint not null default 0,
    source_errors bigint not null default 0,
    target_errors bigint not null default 0,
    source_latency bigint[] not null default '{}',
    target_latency bigint[] not null default '{}',
    causes jsonb not null default '{}'
);

create index if not exists reads_domain on midflight.reads (domain, at);

-- Some of the differences that dark reads found. Values only where a team asked for them.
create table if not exists midflight.read_mismatches (
    number bigint generated always as identity primary key,
    domain text not null references midflight.domains,
    at timestamptz not null default clock_timestamp(),
    instance text not null,
    operation text not null,
    entity text not null,
    fields text[] not null default '{}',
    cause text not null,
    sides jsonb
);

create index if not exists read_mismatches_domain on midflight.read_mismatches (domain, number);

-- A late write is kept with its image: what the old authority held, or null where the write was a delete.
alter table midflight.quarantine add column if not exists image jsonb;

-- One entry a key for what the target does not take; one an image for late writes (path `tripwire`), of which none may
-- be lost: neither to a later one nor to the applies after the way back.
alter table midflight.quarantine drop constraint if exists quarantine_pkey;
create unique index if not exists quarantine_document on midflight.quarantine (collection_id, key)
    where path <> 'tripwire';
create unique index if not exists quarantine_late on midflight.quarantine (collection_id, key, checksum)
    where path = 'tripwire';

-- The turnstile before the authority row. A share lock is granted past a waiting update, so who moves the row would
-- starve under steady load: it takes this lock exclusively first, and those who lock the row for share queue up behind.
create or replace function midflight.turnstile(domain text) returns bigint language sql immutable parallel safe
return pg_catalog.hashtextextended('midflight.authority ' || domain, 0);

-- On every target table, before each statement. With the definer's rights: an application needs none in the ledger.
create or replace function midflight.fence() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
declare
    place constant text := format('%I.%I', tg_table_schema, tg_table_name);
    found midflight.domains;
    why text;
    next_step text := 'Nothing was written. Write through the library, which goes to the authority by itself.';
begin
    if current_setting('midflight.applier', true) = tg_argv[0] then
        return null;
    end if;
    if tg_op = 'TRUNCATE' then
        raise exception 'Domain % refuses to truncate %: no key of its rows could be written back.', tg_argv[0], place
            using errcode = 'MF001', hint = 'Delete the rows instead.';
    end if;
    perform pg_advisory_xact_lock_shared(midflight.turnstile(tg_argv[0]));
    -- Whoever moves the authority waits for this lock; under a snapshot from before the move, it is a serialization failure.
    select * into found from midflight.domains d where d.domain = tg_argv[0] for share;
    if found.authority = 'target' and found.accepting then
        return null;
    end if;
    if found.domain is null then
        why := 'the ledger does not know the domain any more';
        next_step := format('Drop the triggers of %s whose names begin with midflight_.', place);
    elsif found.authority = 'target' then
        why := 'the target is closed while the authority moves';
    else
        why := 'the source is the authority';
    end if;
    raise exception 'Domain % refuses to % %: % (stage %).', tg_argv[0], lower(tg_op), place, why,
        coalesce(found.stage, 'none') using errcode = 'MF001', hint = next_step;
end $$;

-- --- version 3: runs of parity, their places and what they found --------------------------------------------------------

-- What versions 1 and 2 kept of runs; a domain under way compares anew before its next gate.
drop table if exists midflight.parity_suspects, midflight.parity_ranges, midflight.parity_runs;

-- A run may compare stores that are no domain of this ledger, so nothing here refers to `domains` or `collections`.
create table if not exists midflight.parity_reports (
    domain text not null,
    run text not null,
    number bigint generated always as identity unique,
    mode text not null check (mode in ('gate', 'watch')),
    started_at timestamptz not null,
    finished_at timestamptz,
    plan_fingerprint text not null,
    levels jsonb not null default '[]',
    entities jsonb not null default '[]',
    census jsonb not null default '[]',
    primary key (domain, run)
);

create table if not exists midflight.parity_places (
    domain text not null,
    run text not null,
    entity text collate "C" not null,
    number integer not null,
    lower_key bytea,
    upper_key bytea,
    cursor bytea,
    batches bigint not null default 0,
    compared bigint not null default 0,
    equal bigint not null default 0,
    done boolean not null default false,
    tally jsonb not null default '{}',
    primary key (domain, run, entity, number),
    foreign key (domain, run) references midflight.parity_reports on delete cascade
) with (fillfactor = 50);

-- One row a key that differs or has differed. `differences` holds the differing values as canonical text, nothing else.
create table if not exists midflight.parity_mismatches (
    domain text not null,
    run text not null,
    entity text collate "C" not null,
    key bytea not null,
    state text not null,
    kind text not null,
    cause text not null,
    differences jsonb not null default '[]',
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    rounds integer not null default 0,
    source_version bytea,
    target_version bytea,
    token bigint,
    resets integer not null default 0,
    primary key (domain, run, entity, key),
    foreign key (domain, run) references midflight.parity_reports on delete cascade
);

insert into midflight.version (version) values (3) on conflict (only_row) do update set version = excluded.version;
