"""Sessions: clients that write, read what they wrote, and know what must be true."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from examples.loyalty.client import Answer, Client
from examples.loyalty.model import now
from examples.loyalty.pacer import Pacer
from examples.loyalty.records import Operation, Records, Violation, ViolationKind

MERCHANTS = [f"shop-{number:02d}" for number in range(24)]
DAY = "2026-03-01"
HOT_SHARE = 0.2
LAST = 20
SETTLES_SECONDS = 120.0
"""So long something of a request without an answer may still happen: the driver tries a transaction for so long."""
SKUS = ("coffee", "cake", "book", "flight", "hotel")


@dataclass(slots=True)
class Known:
    """What a session knows of a member that only it writes to; None: not now, from `since` on it may ask again."""

    balance: int | None = None
    since: float = 0.0


@dataclass(slots=True)
class Surroundings:
    """What all sessions share."""

    pacer: Pacer
    records: Records
    hot: Sequence[str]
    counts: dict[str, int] = field(default_factory=lambda: {"stale": 0, "negative": 0, "wrong": 0})

    def violate(self, kind: ViolationKind, what: str) -> None:
        """Count it and write it down."""
        self.counts[kind] += 1
        self.records.violation(Violation(time.time(), kind, what))


class Session:
    """One client. Its own members are written to by nobody else, so it knows their balance to the point."""

    def __init__(self, name: str, client: Client, own: Sequence[str], shared: Surroundings, rng: Random) -> None:
        self._name, self._client, self._shared, self._rng = name, client, shared, rng
        self._own = {member: Known() for member in own}
        self._number = 0
        self._kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._earn: 15,
            self._redeem: 9,
            self._transfer: 7,
            self._settle: 1,
            self._read_balance: 40,
            self._read_statement: 28,
        }

    async def run(self) -> None:
        """One request after another until the pacer stops."""
        kinds, weights = list(self._kinds), list(self._kinds.values())
        while not self._shared.pacer.stopped:
            async with self._shared.pacer.turn():
                if not self._shared.pacer.stopped:
                    await self._rng.choices(kinds, weights)[0]()

    # --- writes ----------------------------------------------------------------------------------------------

    async def _earn(self) -> None:
        member, points = self._any(), self._rng.randrange(1, 400)
        lines = [self._line() for _ in range(self._rng.randrange(4))]
        operation = Operation(self._new(), "earn", True, member, points=points, lines=len(lines))
        body = {**_common(operation), "merchant": self._rng.choice(MERCHANTS), "day": DAY, "lines": lines}
        await self._write(operation, body, {member: points})

    async def _redeem(self) -> None:
        member, points = self._any(), self._rng.choice((50, 100, 300, 60_000))
        operation = Operation(self._new(), "redeem", True, member, points=points)
        await self._write(operation, {**_common(operation), "reward": "mug"}, {member: -points})

    async def _transfer(self) -> None:
        member, to = self._any(), self._any()
        points = self._rng.randrange(1, 200)
        if member != to:
            operation = Operation(self._new(), "transfer", True, member, to, points)
            await self._write(operation, {**_common(operation), "to": to}, {member: -points, to: points})

    async def _settle(self) -> None:
        operation, merchant = self._new(), self._rng.choice(MERCHANTS)
        answer = await self._client.send(
            "settle", "/settle", {"operation": operation, "merchant": merchant, "day": DAY}
        )
        counts = {"points": answer.body["points"], "transactions": answer.body["transactions"]} if answer.ok else {}
        self._shared.records.operation(Operation(operation, "settle", answer.ok, **counts))

    async def _write(self, operation: Operation, body: dict[str, Any], changes: dict[str, int]) -> None:
        began = now()
        answer = await self._client.send(operation.kind, f"/{operation.kind}", body)
        if answer.ok:
            self._acknowledged(operation, answer, changes)
            await self._look_after(operation, body, began)
        elif answer.refused:
            self._check_refusal(operation)
        else:
            self._shared.records.operation(_uncertain(operation))
            for member in changes:
                self._forget(member)

    def _acknowledged(self, operation: Operation, answer: Answer, changes: dict[str, int]) -> None:
        self._shared.records.operation(operation)
        for member, change in changes.items():
            known = self._own.get(member)
            if known is not None and known.balance is not None:
                known.balance += change
        self._check_balance(operation.member, answer.body["balance"], f"the answer to {operation.id}")

    async def _look_after(self, operation: Operation, body: dict[str, Any], began: datetime) -> None:
        """Read what was just written, from any process; now and then say the same order again."""
        chance = self._rng.random()
        if chance < 0.03:
            await self._again(operation, body)
        elif chance < 0.3:
            self._shared.pacer.spend()
            await self._statement_with(operation, began)
        elif chance < 0.55:
            self._shared.pacer.spend()
            await self._balance_of(operation.member)

    async def _again(self, operation: Operation, body: dict[str, Any]) -> None:
        self._shared.pacer.spend()
        answer = await self._client.send("again", f"/{operation.kind}", body)
        if answer.ok:
            self._check_balance(operation.member, answer.body["balance"], f"{operation.id} said twice")
        elif answer.refused:
            self._shared.violate("wrong", f"{operation.id} said again was refused")

    # --- reads -----------------------------------------------------------------------------------------------

    async def _read_balance(self) -> None:
        await self._balance_of(self._any())

    async def _balance_of(self, member: str) -> None:
        answer = await self._client.send("balance", f"/members/{member}/balance")
        if answer.ok:
            self._check_balance(member, answer.body["balance"], "a read")

    async def _read_statement(self) -> None:
        await self._statement(self._any())

    async def _statement_with(self, operation: Operation, began: datetime) -> None:
        """The operation is there, unless so many newer ones are that it stands on the next page."""
        entries = await self._statement(operation.member)
        if entries is None or operation.id in {entry["id"] for entry in entries}:
            return
        if len(entries) < LAST or datetime.fromisoformat(entries[-1]["at"]) < began:
            self._shared.violate("stale", f"{operation.id} is not in the statement of {operation.member}")

    async def _statement(self, member: str) -> list[dict[str, Any]] | None:
        answer = await self._client.send("statement", f"/members/{member}/statement?last={LAST}")
        if not answer.ok:
            return None
        entries: list[dict[str, Any]] = answer.body
        if len({entry["id"] for entry in entries}) < len(entries):
            self._shared.violate("wrong", f"the statement of {member} shows a transaction twice")
        return entries

    # --- what must be true -----------------------------------------------------------------------------------

    def _check_balance(self, member: str, found: int, where: str) -> None:
        if found < 0:
            self._shared.violate("negative", f"{where}: {member} has {found}")
        known = self._own.get(member)
        if known is None:
            return
        if known.balance is None and time.monotonic() >= known.since:
            known.balance = found
        elif known.balance is not None and found != known.balance:
            self._shared.violate("stale", f"{where}: {member} has {found}, its session knows {known.balance}")
            self._forget(member)

    def _check_refusal(self, operation: Operation) -> None:
        known = self._own.get(operation.member)
        if known is not None and known.balance is not None and known.balance >= operation.points:
            self._shared.violate("stale", f"{operation.id} was refused, but {operation.member} had enough")

    def _forget(self, member: str) -> None:
        if member in self._own:
            self._own[member] = Known(since=time.monotonic() + SETTLES_SECONDS)

    # --- what is sent ----------------------------------------------------------------------------------------

    def _any(self) -> str:
        return self._rng.choice(self._shared.hot if self._rng.random() < HOT_SHARE else list(self._own))

    def _new(self) -> str:
        self._number += 1
        return f"{self._name}-{self._number:06d}"

    def _line(self) -> dict[str, Any]:
        return {
            "sku": self._rng.choice(SKUS),
            "quantity": self._rng.randrange(1, 4),
            "points": self._rng.randrange(100),
        }


def _common(operation: Operation) -> dict[str, Any]:
    return {"operation": operation.id, "member": operation.member, "points": operation.points}


def _uncertain(operation: Operation) -> Operation:
    return Operation(operation.id, operation.kind, False, operation.member, operation.to, operation.points)
