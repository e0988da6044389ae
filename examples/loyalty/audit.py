"""The audit: is every acknowledged operation there, once, and do the points add up? Run it while nobody writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from examples.loyalty.holdings import Holdings, Transaction
from examples.loyalty.model import IN
from examples.loyalty.records import Operation

SHOWN = 8


@dataclass(slots=True)
class Audit:
    """What was found in one store. `lost`: acknowledged operations that it does not hold as they were acknowledged."""

    store: str
    acknowledged: int = 0
    uncertain: int = 0
    transactions: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing wrong."""
        return not self.lost and not self.wrong

    def shown(self) -> list[str]:
        """The first few findings, for people."""
        found = [*(f"lost: {what}" for what in self.lost), *self.wrong]
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return [f"{self.store}: {what}" for what in [*found[:SHOWN], *more]]


def audit(store: str, holdings: Holdings, operations: Sequence[Operation]) -> Audit:
    """Hold what the load generator knows against what the store holds."""
    known = [operation for operation in operations if operation.known]
    found = Audit(store, len(known), len(operations) - len(known), len(holdings.transactions))
    found.lost += [f"{o.id}: {why}" for o in known for why in _missing(o, holdings)]
    found.wrong += _unexpected(operations, holdings)
    found.wrong += _balances(holdings)
    found.wrong += _settlements(holdings)
    return found


def differences(one: Holdings, other: Holdings) -> list[str]:
    """What the two stores do not agree about."""
    parts = (
        ("member", one.members, other.members),
        ("transaction", one.transactions, other.transactions),
        ("settlement", one.settlements, other.settlements),
    )
    return [
        f"{what} {key} is {mine.get(key)} in one store and {theirs.get(key)} in the other"
        for what, mine, theirs in parts
        for key in sorted({*mine, *theirs})
        if mine.get(key) != theirs.get(key)
    ]


def expected(operation: Operation) -> dict[str, tuple[str, int]]:
    """The transactions that an operation makes: id to member and points."""
    match operation.kind:
        case "earn":
            return {operation.id: (operation.member, operation.points)}
        case "redeem":
            return {operation.id: (operation.member, -operation.points)}
        case "transfer":
            given = {operation.id: (operation.member, -operation.points)}
            return given | {operation.id + IN: (operation.to, operation.points)}
        case _:
            return {}


def _missing(operation: Operation, holdings: Holdings) -> Iterator[str]:
    for key, (member, points) in expected(operation).items():
        held = holdings.transactions.get(key)
        if held is None:
            yield f"{key} is not there"
        elif (held.kind, held.member, held.points) != (operation.kind, member, points):
            yield f"{key} is another one: {held}"
        elif len(held.lines) != operation.lines:
            yield f"{key} has {len(held.lines)} lines instead of {operation.lines}"
    if operation.kind == "settle":
        settled = holdings.settlements.get(operation.id)
        if settled is None or (settled.transactions, settled.points) != (operation.transactions, operation.points):
            yield f"the settlement is {settled}"


def _unexpected(operations: Iterable[Operation], holdings: Holdings) -> Iterator[str]:
    """Transactions that nobody ordered, also halves of an order whose outcome is unknown."""
    ordered = {key for operation in operations for key in expected(operation)}
    for key, held in holdings.transactions.items():
        if held.kind != "opening" and key not in ordered:
            yield f"nobody ordered {key}"
    for operation in operations:
        keys = expected(operation)
        if not operation.known and len({key in holdings.transactions for key in keys}) > 1:
            yield f"half of {operation.id} took place"


def _balances(holdings: Holdings) -> Iterator[str]:
    """Every member's balance is the sum of the member's transactions; so the points are conserved in all."""
    sums: Counter[str] = Counter()
    for held in holdings.transactions.values():
        sums[held.member] += held.points
    for member, (balance, _) in holdings.members.items():
        if balance < 0:
            yield f"{member} has {balance} points"
        if balance != sums[member]:
            yield f"{member} has {balance} points, the transactions come to {sums[member]}"
    if strangers := sums.keys() - holdings.members.keys():
        yield f"{len(strangers)} members of transactions are not there"


def _settlements(holdings: Holdings) -> Iterator[str]:
    settled: dict[str, list[Transaction]] = {key: [] for key in holdings.settlements}
    for key, held in holdings.transactions.items():
        if (held.status == "settled") != (held.settlement is not None):
            yield f"{key} is {held.status}, its settlement {held.settlement}"
        elif held.settlement is not None and held.settlement not in settled:
            yield f"{key} belongs to the settlement {held.settlement}, which is not there"
        elif held.settlement is not None:
            settled[held.settlement].append(held)
    for key, settlement in holdings.settlements.items():
        found = (len(settled[key]), sum(held.points for held in settled[key]))
        if found != (settlement.transactions, settlement.points):
            yield f"settlement {key} says {settlement}, its transactions are {found}"
