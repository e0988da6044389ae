"""What the application speaks of: orders that change something, what comes back, and why an order is refused.

An order carries an operation id chosen by the client: the same id twice has one effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

MOST_SETTLED = 200
"""How many transactions one settlement takes; the next one takes the rest."""

IN = "-in"
"""A transfer is two transactions: the giver's has the operation's id, the receiver's this at its end."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a purchase."""

    sku: str
    quantity: int
    points: int


@dataclass(frozen=True, slots=True)
class Earn:
    """A purchase brings points."""

    operation: str
    member: str
    points: int
    merchant: str
    day: str
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Redeem:
    """Points are spent; never more than there are."""

    operation: str
    member: str
    points: int
    reward: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One member gives points to another."""

    operation: str
    member: str
    to: str
    points: int


@dataclass(frozen=True, slots=True)
class Settle:
    """A merchant's open transactions of a day are settled."""

    operation: str
    merchant: str
    day: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was settled."""

    id: str
    merchant: str
    day: str
    transactions: int
    points: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a statement. Points that went away are negative."""

    id: str
    kind: str
    points: int
    at: datetime
    settled: bool


def now() -> datetime:
    """The time, as exact as both stores keep it: MongoDB's dates know milliseconds."""
    exact = datetime.now(UTC)
    return exact.replace(microsecond=exact.microsecond // 1_000 * 1_000)


class Refused(Exception):
    """The order cannot be carried out; nothing was changed."""


class NotEnough(Refused):
    """The balance is too small."""


class NoSuchMember(Refused):
    """Nobody has this number."""


class Loyalty(Protocol):
    """What the endpoints need. Both repositories are one, and so are both together while the domain moves."""

    async def earn(self, order: Earn) -> int:
        """The new balance."""

    async def redeem(self, order: Redeem) -> int:
        """The new balance. NotEnough."""

    async def transfer(self, order: Transfer) -> int:
        """The giver's new balance. NotEnough."""

    async def settle(self, order: Settle) -> Settlement:
        """What was settled by this order."""

    async def balance(self, member: str) -> int:
        """The balance. NoSuchMember."""

    async def statement(self, member: str, last: int) -> list[Entry]:
        """The newest transactions, newest first."""
