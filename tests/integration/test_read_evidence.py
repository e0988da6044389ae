"""What applications publish of their reads is the evidence of the gates; and who is late, and what is open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from midflight.core.breach import ReadEvidence
from midflight.core.gates import Evidence
from midflight.core.histogram import BOUNDS, empty, slot
from midflight.core.phase import Stage
from midflight.postgres import observed
from midflight.postgres.session import Session, open_session
from midflight.records import ReadMismatch, ReadReport
from tests.integration.door_kit import DOMAIN, Shop, open_shop


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        await opened.target.ledger.set_stage(DOMAIN, Stage.RAMP, 1_000, 500)
        yield opened


@pytest.fixture
async def session(postgres_database: str) -> AsyncIterator[Session]:
    async with open_session(postgres_database) as opened:
        yield opened


@pytest.fixture
async def revision(here: Shop) -> int:
    return (await here.target.ledger.authority(DOMAIN)).revision


async def evidence(here: Shop) -> Evidence:
    return await here.target.ledger.evidence(DOMAIN)


async def reads(here: Shop) -> ReadEvidence:
    found = (await evidence(here)).reads
    assert found is not None
    return found


def latencies(*seconds: float) -> list[int]:
    counts = empty()
    for one in seconds:
        counts[slot(one)] += 1
    return counts


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


async def test_without_reports_there_are_no_reads(here: Shop) -> None:
    assert (await evidence(here)).reads is None


async def test_reports_of_instances_and_operations_add_up(here: Shop, session: Session, revision: int) -> None:
    one = ReadReport("balance", revision, compared=10, equal=7, ignored=1, unclear=1, source_errors=1)
    one.causes = {"balance: different value": 1}
    other = ReadReport("statement", revision, compared=5, equal=3, target_errors=2)
    other.causes = {"lines: order": 1, "balance: different value": 1}
    await observed.publish(session, DOMAIN, "a", [one, other], [])
    await observed.publish(session, DOMAIN, "a", [one], [])
    await observed.publish(session, DOMAIN, "b", [one], [])
    found = await reads(here)
    assert (found.compared, found.mismatched, found.unclear) == (3 * 9 + 5, 3 * 1 + 2, 3)
    assert (found.source_errors, found.target_errors) == (3, 2)
    assert found.causes == {"balance: different value": 4, "lines: order": 1}


async def test_percentiles_come_from_all_latencies_together(here: Shop, session: Session, revision: int) -> None:
    fast = ReadReport("balance", revision, source_latency=latencies(*[0.001] * 95))
    slow = ReadReport("statement", revision, source_latency=latencies(*[0.5] * 5), target_latency=latencies(0.001))
    await observed.publish(session, DOMAIN, "a", [fast, slow], [])
    await observed.publish(session, DOMAIN, "b", [slow], [])
    found = await reads(here)
    assert (found.source_reads, found.target_reads) == (105, 2)
    assert found.source_p95_ms == found.source_p99_ms == round(BOUNDS[slot(0.5)] * 1_000, 3)
    assert found.target_p95_ms == round(BOUNDS[slot(0.001)] * 1_000, 3)


async def test_only_reads_that_obeyed_the_newest_stage_are_evidence(
    here: Shop, session: Session, revision: int
) -> None:
    await observed.publish(session, DOMAIN, "a", [ReadReport("balance", revision - 1, compared=7)], [])
    assert (await evidence(here)).reads is None
    await observed.publish(session, DOMAIN, "a", [ReadReport("balance", revision, compared=3, equal=3)], [])
    assert (await reads(here)).compared == 3
    await here.target.ledger.set_stage(DOMAIN, Stage.RAMP, 5_000, 500)
    assert (await evidence(here)).reads is None


async def test_an_instance_keeps_one_row_however_often_it_publishes(
    here: Shop, session: Session, revision: int, postgres_database: str
) -> None:
    for _ in range(5):
        await observed.publish(session, DOMAIN, "a", [ReadReport("balance", revision, compared=1)], [])
    assert query(postgres_database, "select instance, compared from midflight.reads") == [("a", 5)]


async def test_history_is_pruned_and_evidence_is_not(
    here: Shop, session: Session, revision: int, postgres_database: str
) -> None:
    for of_stage in (revision - 1, revision):
        await observed.publish(session, DOMAIN, "a", [ReadReport("balance", of_stage, compared=1)], [])
    mismatch = ReadMismatch("balance", "m-1", ("total",), "different value")
    await observed.publish(session, DOMAIN, "a", [], [mismatch])
    query(postgres_database, "update midflight.reads set at = now() - interval '25 hours'")
    query(postgres_database, "update midflight.read_mismatches set at = now() - interval '25 hours'")
    await observed.publish(session, DOMAIN, "b", [], [])
    assert query(postgres_database, "select revision from midflight.reads") == [(revision,)]
    assert await observed.mismatches(session, DOMAIN, 10) == []


async def test_the_newest_mismatches_are_kept_and_listed_first(
    here: Shop, session: Session, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [ReadMismatch("balance", f"m-{n}", ("total",), "different value") for n in range(observed.MISMATCHES_KEPT)]
    await observed.publish(session, DOMAIN, "a", [], many)
    last = ReadMismatch("statement", "m-x", ("lines", "total"), "order", {"source": [1, 2], "target": [2, 1]})
    await observed.publish(session, DOMAIN, "b", [], [last, last, last])
    first, *_ = await observed.mismatches(session, DOMAIN, 2)
    assert first.pop("at")
    assert first == {
        "instance": "b",
        "operation": "statement",
        "entity": "m-x",
        "fields": ["lines", "total"],
        "cause": "order",
        "sides": {"source": [1, 2], "target": [2, 1]},
    }
    await observed.publish(session, DOMAIN, "b", [], [])
    ((kept,),) = query(postgres_database, "select count(*) from midflight.read_mismatches")
    assert kept == observed.MISMATCHES_KEPT


async def test_text_that_postgresql_does_not_take_is_no_reason_to_lose_a_report(here: Shop, session: Session) -> None:
    sides: dict[str, object] = {"source": {"a\0": float("nan"), "b": {1, 2}}, "target": "\ud800"}
    strange = ReadMismatch("balance", "m\0\udc00", ("a",), "different value", sides)
    await observed.publish(session, DOMAIN, "a", [], [strange])
    (found,) = await observed.mismatches(session, DOMAIN, 10)
    assert found["entity"] == "m\ufffd?"
    assert found["sides"] == {"source": {"a\ufffd": "nan", "b": "{1, 2}"}, "target": "?"}


async def test_an_unknown_domain_publishes_nothing(here: Shop, session: Session, postgres_database: str) -> None:
    mismatch = ReadMismatch("balance", "m-1", ("total",), "different value")
    await observed.publish(session, "nowhere", "a", [ReadReport("balance", 1, compared=1)], [mismatch])
    assert query(postgres_database, "select count(*) from midflight.reads") == [(0,)]
    assert query(postgres_database, "select count(*) from midflight.read_mismatches") == [(0,)]


# --- what else the gates ask for --------------------------------------------------------------------------------------


async def test_instances_are_late_until_they_obey_the_newest_stage_with_no_older_write(
    here: Shop, revision: int, postgres_database: str
) -> None:
    rows = [
        ("obeys", revision, "null", 60),
        ("new-write", revision, str(revision), 60),
        ("old-write", revision, str(revision - 1), 60),
        ("unaware", revision - 1, "null", 60),
        ("gone", revision - 1, "null", -1),
    ]
    for name, seen, oldest, seconds in rows:
        query(
            postgres_database,
            "insert into midflight.instances (domain, instance, seen_revision, oldest_revision, lease_until) values"
            f" ('{DOMAIN}', '{name}', {seen}, {oldest}, now() + interval '{seconds} seconds')",
        )
    found = await evidence(here)
    assert (found.instances, found.instances_late) == (4, ("old-write", "unaware"))


async def test_late_writes_are_open_entries_of_the_tripwire(here: Shop, postgres_database: str) -> None:
    for number, (path, waived) in enumerate([("tripwire", "null"), ("tripwire", "'ada'"), ("tail", "null")]):
        query(
            postgres_database,
            "insert into midflight.quarantine (domain, collection_id, key, token, checksum, field, value_type,"
            " column_name, reason, path, first_seen, last_seen, waived_by)"
            f" values ('{DOMAIN}', 1, '\\x0{number}', 1, '', '', '', '', 'late', '{path}', now(), now(), {waived})",
        )
    found = await evidence(here)
    assert (found.late_writes, found.quarantine_open, found.quarantine_waived) == (1, 2, 1)


async def test_pending_marks_and_refused_ones_are_counted(here: Shop, postgres_database: str) -> None:
    ((collection,),) = query(postgres_database, "select min(id) from midflight.collections")
    for key, seq, written, reason in [("a", 5, 5, "null"), ("b", 6, 5, "null"), ("c", 7, 0, "'unique index'")]:
        query(
            postgres_database,
            "insert into midflight.dirty (collection_id, row_key, seq, written_back, refused)"
            f" values ({collection}, '{key}', {seq}, {written}, {reason})",
        )
    found = await evidence(here)
    assert (found.reverse_pending, found.reverse_refused) == (2, 1)
