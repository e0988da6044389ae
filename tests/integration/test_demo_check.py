"""The demonstration's check sees what is wrong: each test breaks one thing in real stores, by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from pymongo import MongoClient

import embedded
from demo.check.expected import Rows, columns_of, rows_of
from demo.check.stores import source_documents, target_state
from demo.check.verdict import Verdict, judge
from demo.domains import SHAPES
from demo.domains.shape import FIRST_FLAW
from demo.journal import CODEC, Document, Story, packed
from demo.plans import SCHEMA, demo_plans
from midflight.core.keys import key_bytes
from midflight.postgres.connection import open_target
from tests.fixtures.applier import as_applier

NUMBERS = range(12, 30)
FLAWED = FIRST_FLAW

each_domain = pytest.mark.parametrize("stage", SHAPES, indirect=True)
members = pytest.mark.parametrize("stage", ["members"], indirect=True)
transactions = pytest.mark.parametrize("stage", ["transactions"], indirect=True)


@dataclass
class Stage:
    """Two stores that agree, and a journal that agrees with both; until a test breaks something."""

    domain: str
    uri: str
    dsn: str
    database: str
    documents: dict[int, Document]
    story: Story = field(default_factory=Story)

    def key(self, number: int) -> Any:
        return self.documents[number]["_id"]

    def judge(self) -> Verdict:
        source = source_documents(self.uri, self.database, self.domain)
        return judge(self.domain, self.story, source, target_state(self.dsn, SCHEMA, self.domain))

    def source(self, change: Callable[[Any], Any]) -> None:
        with MongoClient[Document](self.uri) as client:
            change(client[self.database].get_collection(self.domain, codec_options=CODEC))

    def target(self, statement: str, *parameters: Any) -> None:
        with as_applier(self.dsn, self.domain) as connection:
            connection.execute(f"set search_path to {SCHEMA}, midflight")
            assert connection.execute(statement, parameters).rowcount >= 1

    def acknowledge(self, document: Document) -> None:
        self.story.last[packed({"_id": document["_id"]})] = packed(document)
        self.story.acknowledged += 1


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, servers: embedded.Servers, mongo_database: str, postgres_database: str
) -> Stage:
    domain = request.param
    shape = SHAPES[domain]
    documents = {number: shape.document(number) for number in (FLAWED, *NUMBERS)}
    stage = Stage(domain, servers.mongo_uri, postgres_database, mongo_database, documents)
    async with open_target(postgres_database) as target:
        plan = demo_plans()[domain]
        await target.schema.install_ledger()
        await target.ledger.register(plan)
        await target.schema.create_tables(plan)
    stage.source(lambda collection: collection.insert_many(list(documents.values())))
    with as_applier(postgres_database, domain) as connection:
        for number in NUMBERS:
            _insert(connection, domain, rows_of(domain, documents[number]))
        _quarantine(connection, domain, documents[FLAWED], waived=True)
    for number in NUMBERS[:5]:
        stage.acknowledge(documents[number])
    return stage


def _insert(connection: psycopg.Connection, domain: str, rows: Rows) -> None:
    for table, columns in columns_of(domain).items():
        for row in rows[table]:
            insert = sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(SCHEMA, table),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
            )
            connection.execute(insert, [Jsonb(value) if isinstance(value, dict) else value for value in row])


def _quarantine(connection: psycopg.Connection, domain: str, document: Document, *, waived: bool) -> None:
    connection.execute(
        "insert into midflight.quarantine (domain, collection_id, key, token, checksum, field, value_type, column_name,"
        " reason, path, first_seen, last_seen, waived_by)"
        " select %s, id, %s, 1, '', '', '', '', '', 'tail', now(), now(), %s"
        " from midflight.collections where domain = %s",
        (domain, key_bytes(document["_id"]), "ada" if waived else None, domain),
    )


@each_domain
def test_two_stores_that_agree_leave_no_doubt(stage: Stage) -> None:
    verdict = stage.judge()
    assert verdict.ok, verdict.doubts
    assert (verdict.documents, verdict.quarantined, verdict.acknowledged_writes) == (len(NUMBERS) + 1, 1, 5)


@each_domain
def test_a_document_missing_from_the_target_is_a_lost_write(stage: Stage) -> None:
    key = rows_of(stage.domain, stage.documents[NUMBERS[0]])[stage.domain][0][0]
    for table, columns in reversed(columns_of(stage.domain).items()):
        with as_applier(stage.dsn, stage.domain) as connection:
            name = sql.Identifier(SCHEMA, table)
            connection.execute(sql.SQL("delete from {} where {} = %s").format(name, sql.Identifier(columns[0])), (key,))
    verdict = stage.judge()
    assert (verdict.lost_writes, verdict.mismatches, verdict.ok) == (1, 1, False)


@each_domain
def test_every_single_column_counts(stage: Stage) -> None:
    for table, columns in columns_of(stage.domain).items():
        for column in columns[1:]:
            before = _swap(stage, table, column)
            if before is None:
                continue
            assert not stage.judge().ok, f"{table}.{column} was changed and nobody saw it"
            _put(stage, table, column, *before)
    assert stage.judge().ok


def _swap(stage: Stage, table: str, column: str) -> tuple[Any, Any] | None:
    """Make one value that is there null, or another one where null is not allowed; what was there before."""
    with as_applier(stage.dsn, stage.domain) as connection:
        where = sql.SQL("from {} where {} is not null limit 1").format(
            sql.Identifier(SCHEMA, table), sql.Identifier(column)
        )
        row = connection.execute(sql.SQL("select ctid::text, {} ").format(sql.Identifier(column)) + where).fetchone()
        if row is None or row[1] == {}:
            return None
        nullable = connection.execute(
            "select is_nullable = 'YES' from information_schema.columns"
            " where table_schema = %s and table_name = %s and column_name = %s",
            (SCHEMA, table, column),
        ).fetchone()
        changed = None if nullable and nullable[0] else f"{row[1]}x" if isinstance(row[1], str) else row[1] + 1_000
        moved = connection.execute(
            sql.SQL("update {} set {} = %s where ctid = %s::tid returning ctid::text").format(
                sql.Identifier(SCHEMA, table), sql.Identifier(column)
            ),
            (changed, row[0]),
        ).fetchone()
        assert moved is not None
        return moved[0], row[1]


def _put(stage: Stage, table: str, column: str, place: Any, value: Any) -> None:
    with as_applier(stage.dsn, stage.domain) as connection:
        adapted = Jsonb(value) if isinstance(value, dict | list) else value
        connection.execute(
            sql.SQL("update {} set {} = %s where ctid = %s::tid").format(
                sql.Identifier(SCHEMA, table), sql.Identifier(column)
            ),
            (adapted, place),
        )


@members
def test_a_row_too_many_is_a_mismatch(stage: Stage) -> None:
    stage.target("insert into members (id, imported_from) values (%s, 'mongodb')", "0" * 24)
    verdict = stage.judge()
    assert (verdict.lost_writes, verdict.mismatches) == (0, 1)
    assert not verdict.ok


@members
def test_a_child_row_too_many_is_a_mismatch(stage: Stage) -> None:
    stage.target(
        "insert into member_addresses (member_id, position, city) values (%s, 7, 'Nowhere')", str(stage.key(14))
    )
    assert stage.judge().mismatches == 1


@members
def test_a_child_row_of_nobody_is_a_mismatch(stage: Stage) -> None:
    stage.target("insert into member_addresses (member_id, position) values (%s, 0)", "0" * 24)
    assert stage.judge().mismatches == 1


@members
def test_a_deleted_document_that_came_back_is_a_mismatch(stage: Stage) -> None:
    stage.source(lambda collection: collection.delete_one({"_id": stage.key(13)}))
    stage.story.last[packed({"_id": stage.key(13)})] = None
    verdict = stage.judge()
    assert verdict.mismatches == 1
    assert not verdict.ok


@members
def test_an_acknowledged_write_that_the_source_does_not_hold_is_lost(stage: Stage) -> None:
    stage.acknowledge({**stage.documents[13], "note": "acknowledged, then gone"})
    verdict = stage.judge()
    assert verdict.lost_writes == 1


@members
def test_a_write_of_which_nobody_knows_is_not_called_lost(stage: Stage) -> None:
    stage.acknowledge({**stage.documents[13], "note": "perhaps overwritten"})
    stage.story.uncertain.add(packed({"_id": stage.key(13)}))
    assert stage.judge().ok


@members
def test_a_quarantined_document_must_really_be_flawed(stage: Stage) -> None:
    stage.target("delete from member_addresses where member_id = %s or true", str(stage.key(14)))
    stage.target("delete from members where id = %s", str(stage.key(14)))
    with as_applier(stage.dsn, stage.domain) as connection:
        _quarantine(connection, "members", stage.documents[14], waived=True)
    assert any("nothing is wrong with it" in doubt for doubt in stage.judge().doubts)


@members
def test_a_flawed_document_must_be_in_quarantine(stage: Stage) -> None:
    stage.target("delete from quarantine where true")
    assert any("not in quarantine" in doubt for doubt in stage.judge().doubts)


@members
def test_a_quarantine_entry_that_nobody_waived_is_a_doubt(stage: Stage) -> None:
    stage.target("update quarantine set waived_by = null where true")
    assert any("nobody waived it" in doubt for doubt in stage.judge().doubts)


@members
def test_a_journal_without_writes_proves_nothing(stage: Stage) -> None:
    stage.story = Story()
    assert not stage.judge().ok


@transactions
def test_numbers_are_compared_with_all_their_digits(stage: Stage) -> None:
    number = next(n for n in NUMBERS if str(stage.documents[n].get("amount", "")).endswith("0"))
    stage.target("update transactions set amount = trim_scale(amount) where id = %s", str(stage.key(number)))
    assert stage.judge().mismatches == 1


@members
def test_what_has_no_column_is_compared_too(stage: Stage) -> None:
    number = next(n for n in NUMBERS if stage.documents[n].get("source_system"))
    stage.target(
        "update members set extra = %s where id = %s", json.dumps({"source_system": "crm-3"}), str(stage.key(number))
    )
    assert stage.judge().mismatches == 1
