"""What the fence of the target costs a write, and how long whoever moves the authority waits for writers.

Repeat it on an idle machine against any PostgreSQL where you may create a database:

    python -m benchmarks.fence postgresql://postgres@127.0.0.1:5432/postgres

Each variant guards one table: `none`; `row`, the authority row locked for share in a trigger; `advisory`, a shared
advisory lock in a statement before the plain read of the row; `fence`, what Midflight installs (turnstile and row);
`fence+marks`, the same with its dirty marks. Rounds of all variants follow one another, so that a drift of the machine
meets them all. Commits do not wait for the disk (synchronous_commit off), whose noise would hide what is asked; p10 is
the least disturbed figure on a machine that is not idle. The last table shows a snapshot from before a move: which
variants let it write.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import psycopg
from psycopg import conninfo, sql

from midflight.core.plan import CollectionMap, FieldMap, KeyMap, Plan, SourcePlace, TargetPlace
from midflight.core.tables import tables
from midflight.postgres.ddl import create_table
from midflight.postgres.schema import ledger_statements
from midflight.postgres.triggers import create_function, create_triggers, marked_tables

DATABASE = "midflight_bench_fence"
DOMAIN = "bench"
ROUNDS = 5
SECONDS = 1.5
MOVES = 10
ROWS = 1_000
VARIANTS = ("none", "row", "advisory", "fence", "fence+marks")
CLIENTS = (1, 4)
STARVING = (4, 8, 16)
_REFUSE = "if not found or not ok then raise exception 'refused' using errcode = 'MF001'; end if; return null;"
_READ = "select authority = 'target' and accepting into ok from midflight.domains where domain = 'bench'"
FUNCTIONS = {
    "row": f"{_READ} for share; {_REFUSE}",
    "advisory": f"perform pg_advisory_xact_lock_shared(midflight.turnstile('bench')); {_READ}; {_REFUSE}",
}
Connection = psycopg.Connection[tuple[Any, ...]]


def main() -> None:
    """Measure, and print the three tables."""
    admin = sys.argv[1]
    dsn = conninfo.make_conninfo(admin, dbname=DATABASE)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database if exists {DATABASE} with (force)")
        connection.execute(f"create database {DATABASE}")
    _prepare(dsn)
    _print_latencies(dsn)
    _print_waits(dsn)
    _print_snapshots(dsn)


def _plan(variant: str) -> Plan:
    return Plan(
        domain=DOMAIN,
        source=SourcePlace(store="mongo", database="bench"),
        target=TargetPlace(store="postgres"),
        collections=(
            CollectionMap(
                collection=_table(variant),
                table=_table(variant),
                key=KeyMap(type="bigint"),
                fields=(FieldMap(field="n", column="n", type="bigint"),),
            ),
        ),
    )


def _table(variant: str) -> str:
    return variant.replace("+", "_")


def _prepare(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(ledger_statements().encode())
        connection.execute(
            "insert into midflight.domains (domain, fingerprint, plan, authority, accepting)"
            " values (%s, '', '{}', 'target', true)",
            (DOMAIN,),
        )
        for number, variant in enumerate(VARIANTS, 1):
            _guard(connection, variant, number)


def _guard(connection: Connection, variant: str, number: int) -> None:
    [marked] = marked_tables(_plan(variant))
    connection.execute(create_table("public", tables(marked.collection)[0]))
    fill = sql.SQL("insert into {} (id, n) select g, 0 from generate_series(1, {}) g")
    connection.execute(fill.format(marked.name, sql.Literal(ROWS)))
    if variant in FUNCTIONS:
        body = f"declare ok boolean; begin {FUNCTIONS[variant]} end"
        function = f"create function midflight.{variant}() returns trigger language plpgsql security definer"
        connection.execute(f"{function} set search_path = pg_catalog, pg_temp as $${body}$$".encode())
        on = f"create trigger guard before update on public.{variant} execute function midflight.{variant}()"
        connection.execute(on.encode())
    elif variant.startswith("fence"):
        connection.execute(create_function(marked, DOMAIN, number))
        for statement in create_triggers(marked, DOMAIN):
            connection.execute(statement)
    if variant == "fence":
        for event in ("insert", "update", "delete"):
            connection.execute(f"drop trigger midflight_mark_{event} on public.fence".encode())


def _print_latencies(dsn: str) -> None:
    print(f"Update of one row by its key, autocommit; medians of {ROUNDS} rounds of {SECONDS:g} s\n")
    print("| clients | variant | p10 ms | p50 ms | p95 ms | writes/s |\n| --- | --- | --- | --- | --- | --- |")
    for clients in CLIENTS:
        found: dict[str, list[tuple[float, ...]]] = {variant: [] for variant in VARIANTS}
        for _ in range(ROUNDS):
            for variant in VARIANTS:
                found[variant].append(_round(dsn, variant, clients))
        for variant, rounds in found.items():
            p10, p50, p95, rate = (median(values) for values in zip(*rounds, strict=True))
            print(f"| {clients} | {variant} | {p10:.3f} | {p50:.3f} | {p95:.3f} | {rate:.0f} |")


def _round(dsn: str, variant: str, clients: int) -> tuple[float, ...]:
    times: list[float] = []
    stop = threading.Event()
    threads = _start(dsn, variant, clients, stop, times.append)
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    times.sort()
    return (*(times[int(len(times) * share)] * 1e3 for share in (0.1, 0.5, 0.95)), len(times) / SECONDS)


def _start(
    dsn: str, variant: str, clients: int, stop: threading.Event, took: Callable[[float], None]
) -> list[threading.Thread]:
    """Writers, each with rows of its own."""
    update = f"update {_table(variant)} set n = n + 1 where id = %s"

    def write(number: int) -> None:
        with psycopg.connect(dsn, autocommit=True, options="-c synchronous_commit=off") as connection:
            for turn in range(10**9):
                if stop.is_set():
                    return
                began = time.perf_counter()
                connection.execute(update.encode(), (number + 1 + clients * (turn % 100),), prepare=True)
                took(time.perf_counter() - began)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def _print_waits(dsn: str) -> None:
    """As the ledger moves the row: with the turnstile where there is one."""
    print(f"\nHow long whoever moves the authority row waits for writers in a loop; {MOVES} moves\n")
    print("| writers | variant | median ms | longest ms |\n| --- | --- | --- | --- |")
    for clients in STARVING:
        for variant in ("row", "fence"):
            stop = threading.Event()
            threads = _start(dsn, variant, clients, stop, lambda _: None)
            time.sleep(0.3)
            waits = [_move(dsn, turnstile=variant == "fence") for _ in range(MOVES)]
            stop.set()
            for thread in threads:
                thread.join()
            print(f"| {clients} | {variant} | {median(waits):.1f} | {max(waits):.1f} |")


def _move(dsn: str, *, turnstile: bool, back: bool = True) -> float:
    with psycopg.connect(dsn) as connection:
        began = time.perf_counter()
        if turnstile:
            connection.execute("select pg_advisory_xact_lock(midflight.turnstile('bench'))")
        accepting = "" if back else ", accepting = not accepting"
        connection.execute(f"update midflight.domains set reads_bp = (reads_bp + 1) % 9999{accepting}".encode())
        connection.commit()
        return (time.perf_counter() - began) * 1e3


def _print_snapshots(dsn: str) -> None:
    print("\nA write under a snapshot from before the target was closed\n\n| variant | outcome |\n| --- | --- |")
    for variant in VARIANTS:
        with psycopg.connect(dsn) as writer:
            writer.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            writer.execute("select 1 from midflight.domains")
            _move(dsn, turnstile=True, back=False)
            try:
                writer.execute(f"update {_table(variant)} set n = -1 where id = 1".encode())
                writer.commit()
                outcome = "**accepted**"
            except psycopg.Error as error:
                outcome = f"refused ({error.sqlstate})"
        _move(dsn, turnstile=True, back=False)
        print(f"| {variant} | {outcome} |")


if __name__ == "__main__":
    main()
