"""What a store holds, read with plain drivers and nothing of Midflight: the same shape from both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from pymongo import MongoClient

Line = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction, whole."""

    member: str
    kind: str
    points: int
    at: datetime
    merchant: str | None
    status: str
    other: str | None
    reward: str | None
    settlement: str | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """One settlement."""

    merchant: str
    day: str
    transactions: int
    points: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything, by id. Members: balance and tier."""

    members: dict[str, tuple[int, str]]
    transactions: dict[str, Transaction]
    settlements: dict[str, Settlement]


def of_mongo(uri: str, database: str) -> Holdings:
    """What MongoDB holds. Only exact while nobody writes."""
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        db = client[database]
        return Holdings(
            {d["_id"]: (d["balance"], d["tier"]) for d in db["members"].find()},
            {d["_id"]: _transaction(d) for d in db["transactions"].find()},
            {d["_id"]: _settlement(d) for d in db["settlements"].find()},
        )


def of_postgres(dsn: str, schema: str) -> Holdings:
    """What PostgreSQL holds, as of one moment."""
    with psycopg.connect(dsn, options=f"-c search_path={schema}") as connection:
        connection.execute("set transaction isolation level repeatable read")
        members = connection.execute("select id, balance, tier from members").fetchall()
        settlements = connection.execute("select id, merchant, day, transactions, points from settlements").fetchall()
        return Holdings(
            {key: (balance, tier) for key, balance, tier in members},
            dict(_transactions(connection)),
            {key: Settlement(*row) for key, *row in settlements},
        )


def conserved(dsn: str, schema: str) -> tuple[int, int]:
    """In PostgreSQL, at one moment: the sum of all balances, and of all transactions."""
    with psycopg.connect(dsn, options=f"-c search_path={schema}") as connection:
        row = connection.execute(
            "select (select sum(balance) from members), (select sum(points) from transactions)"
        ).fetchone()
    assert row is not None, "a select without from has a row"
    return row[0], row[1]


def _transaction(d: dict[str, Any]) -> Transaction:
    lines = tuple((line["sku"], line["quantity"], line["points"]) for line in d.get("lines", ()))
    reward = (d.get("reward") or {}).get("name")
    fields = (d.get("merchant"), d["status"], d.get("other"), reward, d.get("settlement"))
    return Transaction(d["member"], d["kind"], d["points"], d["at"], *fields, lines)


def _settlement(d: dict[str, Any]) -> Settlement:
    return Settlement(d["of"]["merchant"], d["of"]["day"], d["transactions"], d["points"])


def _transactions(connection: psycopg.Connection) -> Iterator[tuple[str, Transaction]]:
    lines: dict[str, list[Line]] = {}
    of_lines = "select transaction_id, sku, quantity, points from transaction_lines order by transaction_id, line"
    for key, *line in connection.execute(of_lines):
        lines.setdefault(key, []).append((line[0], line[1], line[2]))
    rows = connection.execute(
        "select id, member_id, kind, points, at, merchant, status, other_id, reward, settlement_id from transactions"
    )
    for key, *row in rows:
        whole = (*row, tuple(lines.pop(key, ())))
        yield key, Transaction(*whole)
    for key in lines:
        raise AssertionError(f"the lines of {key} belong to no transaction")
