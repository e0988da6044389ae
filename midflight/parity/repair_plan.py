"""What a repair will do, and what it will not. Pure: nothing here touches a store.

Only what is settled is repaired: a suspect may only be late, and a hot key is on its way. Every repair goes through the
door, which takes the source's document as it is then: so a repair never overwrites anything newer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from math import ceil
from typing import Any

from midflight.core.keys import key_bytes, key_value
from midflight.core.plan import ParityRules
from midflight.parity.key_order import place_of
from midflight.parity.records import Cause, Kind, Mismatch, State
from midflight.records import KeyRange


@dataclass(frozen=True, slots=True)
class RangeCount:
    """A range of the source's keys, as a run walked it, and how many it held. Ranges of an entity in their order."""

    entity: str
    keys: KeyRange
    compared: int


@dataclass(frozen=True, slots=True)
class Requeue:
    """Bring these keys of one entity through the door, one by one."""

    entity: str
    mismatches: tuple[Mismatch, ...]

    @property
    def deletes(self) -> int:
        """How many of them the source does not have: their rows will go."""
        return sum(one.kind is Kind.EXTRA for one in self.mismatches)


@dataclass(frozen=True, slots=True)
class CopyAgain:
    """Bring a whole range through the door: so much of it differs that more may be wrong than was seen."""

    entity: str
    keys: KeyRange
    compared: int
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Mismatches that a repair must not, or cannot, touch."""

    entity: str
    reason: str
    next_step: str
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """To be read by a person before it is carried out."""

    requeue: tuple[Requeue, ...] = ()
    copy_again: tuple[CopyAgain, ...] = ()
    refused: tuple[Refused, ...] = ()

    @property
    def hash(self) -> str:
        """Twelve hex digits that name exactly these actions."""
        digest = sha256()
        for entity, what, mismatches in self._actions():
            keys = ",".join(one.key.hex() for one in mismatches)
            digest.update(f"{entity} {what} {keys}\n".encode())
        return digest.hexdigest()[:12]

    @property
    def mismatches(self) -> list[Mismatch]:
        """All that the plan is to mend, one entity after the other."""
        return [one for _, _, mismatches in self._actions() for one in mismatches]

    def _actions(self) -> Iterator[tuple[str, str, tuple[Mismatch, ...]]]:
        for copied in self.copy_again:
            yield copied.entity, f"copy {copied.keys}", copied.mismatches
        for requeued in self.requeue:
            yield requeued.entity, "requeue", requeued.mismatches

    def summary(self) -> dict[str, Any]:
        """Counts, JSON-ready: for people and for the audit trail."""
        return {
            "plan": self.hash,
            "requeue": {one.entity: len(one.mismatches) for one in self.requeue},
            "deletes": {one.entity: one.deletes for one in self.requeue if one.deletes},
            "copy_again": [
                {"entity": one.entity, "keys": one.compared, "differing": len(one.mismatches)}
                for one in self.copy_again
            ],
            "refused": [
                {"entity": one.entity, "keys": len(one.mismatches), "reason": one.reason, "next_step": one.next_step}
                for one in self.refused
            ],
        }


@dataclass(slots=True)
class _Draft:
    """What a plan grows from; mismatches by entity."""

    requeue: dict[str, list[Mismatch]] = field(default_factory=lambda: defaultdict(list))
    copy_again: list[CopyAgain] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, entity: str, mismatches: Sequence[Mismatch], reason: str, next_step: str) -> None:
        if mismatches:
            self.refused.append(Refused(entity, reason, next_step, tuple(mismatches)))


def plan_repair(mismatches: Iterable[Mismatch], rules: ParityRules, counts: Sequence[RangeCount]) -> RepairPlan:
    """What to do about the settled ones of these mismatches. `counts`: every range of the run that found them."""
    draft, extra = _Draft(), dict[str, list[Mismatch]]()
    settled = sorted((one for one in mismatches if one.state is State.SETTLED), key=lambda one: (one.entity, one.key))
    for entity, group in groupby(settled, key=lambda one: one.entity):
        hopeful = _without_hopeless(draft, entity, list(group))
        extra[entity], others = _parted(hopeful, lambda one: one.kind is Kind.EXTRA)
        _plan_writes(draft, entity, others, rules, counts)
    _plan_deletes(draft, extra, rules, counts)
    requeue = tuple(Requeue(entity, tuple(of_one)) for entity, of_one in sorted(draft.requeue.items()) if of_one)
    return RepairPlan(requeue, tuple(draft.copy_again), tuple(draft.refused))


def _without_hopeless(draft: _Draft, entity: str, mismatches: Sequence[Mismatch]) -> list[Mismatch]:
    """Those that bringing them through the door again can mend."""
    bugs, others = _parted(mismatches, lambda one: one.cause is Cause.MAPPING_BUG)
    fields = ", ".join(sorted({part.field for one in bugs for part in one.fields}))
    draft.refuse(entity, bugs, f"the mapping is wrong ({fields})", "fix the plan, and copy the domain again")
    stray, others = _parted(others, lambda one: not _is_a_key(one.key))
    draft.refuse(entity, stray, "no document leads to these rows", "delete them by hand, and find out who wrote them")
    return others


def _parted(
    mismatches: Iterable[Mismatch], wanted: Callable[[Mismatch], bool]
) -> tuple[list[Mismatch], list[Mismatch]]:
    """Those that are wanted, and the others."""
    parts: tuple[list[Mismatch], list[Mismatch]] = ([], [])
    for one in mismatches:
        parts[not wanted(one)].append(one)
    return parts


def _is_a_key(key: bytes) -> bool:
    """Whether a document can have this key, so that the door finds its row."""
    return key_bytes(key_value(key)) == key


def _plan_writes(
    draft: _Draft, entity: str, mismatches: Sequence[Mismatch], rules: ParityRules, counts: Sequence[RangeCount]
) -> None:
    for count, inside in _by_range(mismatches, [count for count in counts if count.entity == entity]):
        if count is not None and len(inside) > rules.rebackfill_rate * count.compared:
            draft.copy_again.append(CopyAgain(entity, count.keys, count.compared, tuple(inside)))
        else:
            draft.requeue[entity] += inside


def _by_range(
    mismatches: Sequence[Mismatch], counts: Sequence[RangeCount]
) -> list[tuple[RangeCount | None, Sequence[Mismatch]]]:
    """The mismatches of each range; without ranges all together."""
    if not counts:
        return [(None, mismatches)]
    bounds = [place_of(count.keys.lower) for count in counts if count.keys.lower is not None]
    inside: dict[int, list[Mismatch]] = defaultdict(list)
    for mismatch in mismatches:
        inside[bisect_right(bounds, place_of(mismatch.key))].append(mismatch)
    return [(counts[number], of_one) for number, of_one in sorted(inside.items())]


def _plan_deletes(
    draft: _Draft, extra: Mapping[str, list[Mismatch]], rules: ParityRules, counts: Sequence[RangeCount]
) -> None:
    """All deletes of an entity, or none; too many in all entities together, and there are none at all."""
    total = sum(map(len, extra.values()))
    for entity, of_one in extra.items():
        keys = sum(count.compared for count in counts if count.entity == entity)
        allowed = ceil(rules.deletes_rate * keys)
        if len(of_one) > allowed or total > rules.deletes_at_most:
            of_all = f"it would delete {total} keys (at most {rules.deletes_at_most})"
            reason = f"{of_all}, {len(of_one)} of them of this entity (at most {allowed})"
            next_step = "look at some of them with `explain`; raise deletes_at_most or deletes_rate if they must go"
            draft.refuse(entity, of_one, reason, next_step)
        else:
            draft.requeue[entity] += of_one
