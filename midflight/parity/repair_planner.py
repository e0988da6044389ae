"""Makes the plan of a repair from mismatches that come page by page: they are counted, none is kept. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil

from midflight.core.plan import ParityRules
from midflight.parity.records import Mismatch, State
from midflight.parity.repair_plan import CopyAgain, RangeCount, Ranges, Refused, RepairPlan, Requeue, Way, way_of
from midflight.records import KeyRange


def plan_repair(mismatches: Iterable[Mismatch], rules: ParityRules, counts: Iterable[RangeCount]) -> RepairPlan:
    """What to do about the settled ones of these mismatches. `counts`: every range of the run that found them."""
    planner = Planner(rules, counts)
    planner.add(sorted(mismatches, key=lambda one: (one.entity, one.key)))
    return planner.plan()


class Planner:
    """Takes mismatches in order of entity and key, and says what is to be done about them."""

    def __init__(self, rules: ParityRules, counts: Iterable[RangeCount]) -> None:
        self._rules = rules
        self._ranges = Ranges(counts)
        self._found: dict[str, _Found] = defaultdict(_Found)

    def add(self, mismatches: Iterable[Mismatch]) -> None:
        """Only those that are settled count."""
        for one in mismatches:
            if one.state is State.SETTLED:
                self._take(one)

    def plan(self) -> RepairPlan:
        """Of all that was added."""
        parts = {entity: self._of_entity(entity, found) for entity, found in sorted(self._found.items())}
        requeue = tuple(part.requeue for part in parts.values() if part.requeue.keys)
        copy_again = tuple(one for part in parts.values() for one in part.copy_again)
        refused = tuple(one for part in parts.values() for one in part.refused)
        actions = "\n".join(action for part in parts.values() for action in part.actions)
        return RepairPlan(sha256(actions.encode()).hexdigest()[:12], requeue, copy_again, refused, self._ranges)

    def _take(self, mismatch: Mismatch) -> None:
        found, way = self._found[mismatch.entity], way_of(mismatch)
        found.ways[way] += 1
        if way is Way.MAPPING:
            found.wrong_fields.update(part.field for part in mismatch.fields)
        elif way is Way.WRITE:
            found.writes[self._ranges.range_of(mismatch)].add(mismatch.key)
        elif way is Way.DELETE:
            found.deletes.add(mismatch.key)

    def _of_entity(self, entity: str, found: _Found) -> _Part:
        copied = [
            CopyAgain(entity, count.keys, count.compared, found.writes[count.keys].number)
            for count in self._ranges.of(entity)
            if count.keys in found.writes
            and found.writes[count.keys].number > self._rules.rebackfill_rate * count.compared
        ]
        ranges = {one.keys for one in copied}
        alone = [keys for keys_range, keys in found.writes.items() if keys_range not in ranges]
        refused = list(self._refused(entity, found))
        deletes = 0 if self._too_many_deletes(entity, found) else found.deletes.number
        actions = [f"{entity} copy {one.keys} {found.writes[one.keys].name}" for one in copied]
        actions += [f"{entity} write {keys.name}" for keys in alone]
        actions += [f"{entity} delete {found.deletes.name}"] * bool(deletes)
        requeue = Requeue(entity, sum(keys.number for keys in alone) + deletes, deletes)
        return _Part(requeue, copied, refused, actions)

    def _refused(self, entity: str, found: _Found) -> Iterator[Refused]:
        if bugs := found.ways[Way.MAPPING]:
            fields = ", ".join(sorted(found.wrong_fields))
            next_step = "fix the plan, and copy the domain again"
            yield Refused(entity, bugs, f"the mapping is wrong ({fields})", next_step)
        if stray := found.ways[Way.STRAY]:
            next_step = "delete them by hand, and find out who wrote them"
            yield Refused(entity, stray, "no document leads to these rows", next_step)
        if self._too_many_deletes(entity, found):
            of_all = f"it would delete {self._deletes} keys (at most {self._rules.deletes_at_most})"
            of_one = f"{found.deletes.number} of them of this entity (at most {self._allowed(entity)})"
            next_step = "look at some of them with `explain`; raise deletes_at_most or deletes_rate if they must go"
            yield Refused(entity, found.deletes.number, f"{of_all}, {of_one}", next_step)

    def _too_many_deletes(self, entity: str, found: _Found) -> bool:
        """All deletes of an entity, or none; too many in all entities together, and there are none at all."""
        number = found.deletes.number
        return number > 0 and (number > self._allowed(entity) or self._deletes > self._rules.deletes_at_most)

    def _allowed(self, entity: str) -> int:
        return ceil(self._rules.deletes_rate * self._ranges.compared(entity))

    @property
    def _deletes(self) -> int:
        return sum(found.deletes.number for found in self._found.values())


class _Keys:
    """Keys in the order in which they came: how many, and which, in 32 bytes."""

    def __init__(self) -> None:
        self.number = 0
        self._digest = sha256()

    def add(self, key: bytes) -> None:
        self.number += 1
        self._digest.update(len(key).to_bytes(4, "big") + key)

    @property
    def name(self) -> str:
        return f"{self.number} {self._digest.hexdigest()}"


@dataclass(slots=True)
class _Found:
    """The settled mismatches of one entity, counted; of keys that may be mended their digest."""

    ways: Counter[Way] = field(default_factory=Counter)
    wrong_fields: set[str] = field(default_factory=set)
    writes: dict[KeyRange | None, _Keys] = field(default_factory=lambda: defaultdict(_Keys))
    deletes: _Keys = field(default_factory=_Keys)


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a plan concerns one entity; `actions` names keys by their digest."""

    requeue: Requeue
    copy_again: Sequence[CopyAgain]
    refused: Sequence[Refused]
    actions: Sequence[str]
