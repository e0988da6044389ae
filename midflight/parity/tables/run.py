"""Compare two tables that can hash their own rows: one pass of fine buckets, one drill-down, then values.

Both servers sort their rows by key into the same buckets of about 256 keys, and tell of each how many rows it has, the
sum and the xor of their hashes. Only buckets that differ are told apart once more, key by key; only keys that differ
are fetched, and compared value by value. Nothing is read a third time, however many rows differ: what finds scattered
differences by halving ever smaller ranges reads most rows again and again.

A hash may only be stricter than the comparison (a number of another kind, -0 beside 0): then the values decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime

from midflight.clock import utc_now
from midflight.parity.causes import by_group
from midflight.parity.compare import Compared, compare
from midflight.parity.decide import decide, is_absent
from midflight.parity.policy import Policy
from midflight.parity.ports import Barrier
from midflight.parity.records import EntityCounts, Entry, Kind, LevelOutcome, Mismatch, RunRecord, State
from midflight.parity.rules import Rules
from midflight.parity.tables.pairs import both, paired
from midflight.parity.tables.shapes import Bucket, Cut, Hashes, HashingSide, agree, key_of
from midflight.parity.verdicts import of_full

MOST_MISMATCHES = 100_000
"""So many are told one by one. Whoever has more has no use for the list, and the run says that it is not whole."""


@dataclass(frozen=True, slots=True)
class TablesCompared:
    """A finished run, ready for a report, and its mismatches in order of discovery (`MOST_MISMATCHES` at most)."""

    run: RunRecord
    mismatches: tuple[Mismatch, ...]


@dataclass(slots=True)
class _Found:
    """What a run has counted so far."""

    source: int = 0
    target: int = 0
    buckets: int = 0
    unlike: list[int] = field(default_factory=list)
    drilled: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)


async def compare_tables(
    source: HashingSide,
    target: HashingSide,
    entity: str,
    *,
    rules: Rules | None = None,
    barrier: Barrier | None = None,
    policy: Policy | None = None,
) -> TablesCompared:
    """Every row of both tables. PlanError where they cannot be compared column by column.

    With a `barrier` the target may be late: what differs is looked at again after it. Without one nobody writes.
    """
    run = _Run(source, target, entity, rules or Rules(), barrier, policy or Policy())
    return await run.whole()


@dataclass(frozen=True, slots=True)
class _Run:
    source: HashingSide
    target: HashingSide
    entity: str
    rules: Rules
    barrier: Barrier | None
    policy: Policy

    async def whole(self) -> TablesCompared:
        started = utc_now()
        cut = agree(*await both(self.source.shape(self.entity), self.target.shape(self.entity)))
        found = await self._pass(cut)
        keys, complete = await self._drill(cut, found)
        mismatches = await self._settled(await self._first_look(keys, found))
        return self._told(started, cut, found, mismatches, complete)

    async def _pass(self, cut: Cut) -> _Found:
        """The one pass over all rows."""
        found = _Found()
        source, target = self.source.buckets(self.entity, cut), self.target.buckets(self.entity, cut)
        async with aclosing(paired(source, target)) as pairs:
            async for left, right in pairs:
                found.source += left.rows if left else 0
                found.target += right.rows if right else 0
                found.buckets += 1
                if left != right:
                    found.unlike.append(_number_of(left, right))
        return found

    async def _drill(self, cut: Cut, found: _Found) -> tuple[list[bytes], bool]:
        """The keys whose rows are not alike, and whether these are all of them."""
        keys: list[bytes] = []
        if not found.unlike:
            return keys, True
        source = self.source.hashes(self.entity, cut, found.unlike)
        target = self.target.hashes(self.entity, cut, found.unlike)
        async with aclosing(paired(source, target)) as pairs:
            async for left, right in pairs:
                unlike = _unlike(left, right)
                found.drilled += len(left.rows if left else ())
                if len(keys) + len(unlike) > MOST_MISMATCHES:
                    return keys, False
                keys += unlike
        return keys, True

    async def _first_look(self, keys: Sequence[bytes], found: _Found) -> list[Mismatch]:
        mismatches: list[Mismatch] = []
        for start in range(0, len(keys), self.policy.suspects_at_once):
            some = keys[start : start + self.policy.suspects_at_once]
            mismatches += await self._look(dict.fromkeys(some), False, found)
        return mismatches

    async def _look(
        self, known: Mapping[bytes, Mismatch | None], barrier_passed: bool, found: _Found | None = None
    ) -> list[Mismatch]:
        """What is known of these keys after a look at them. Each side's rows are of one moment."""
        keys = list(known)
        source, target = await both(self.source.fetch(self.entity, keys), self.target.fetch(self.entity, keys))
        decided = []
        for key, before in known.items():
            left, right = source.get(key), target.get(key)
            compared = self._compared(left, right)
            if found is not None:
                found.by_rule.update(compared.by_rule)
            decided.append(self._decided(left, right, compared, before, barrier_passed))
        return [one for one in decided if one is not None]

    def _compared(self, left: Entry | None, right: Entry | None) -> Compared:
        if left is None or right is None or is_absent(left) or is_absent(right):
            return Compared()
        return compare(left, right, self.rules)

    def _decided(
        self,
        left: Entry | None,
        right: Entry | None,
        compared: Compared,
        before: Mismatch | None,
        barrier_passed: bool,
    ) -> Mismatch | None:
        return decide(
            left,
            right,
            compared.differences,
            before,
            entity=self.entity,
            barrier_passed=barrier_passed,
            frozen=self.barrier is None,
            now=utc_now(),
        )

    async def _settled(self, mismatches: list[Mismatch]) -> list[Mismatch]:
        """The same, looked at again before and after a barrier until each is decided."""
        if self.barrier is None:
            return mismatches
        for _ in range(self.policy.rounds):
            mismatches = await self._look_again(mismatches, False)
            if not any(map(_is_suspect, mismatches)):
                return mismatches
            if not await self.barrier.passed(self.policy.barrier_seconds):
                return mismatches
            mismatches = await self._look_again(mismatches, True)
        return [replace(one, state=State.HOT) if _is_suspect(one) else one for one in mismatches]

    async def _look_again(self, mismatches: Sequence[Mismatch], barrier_passed: bool) -> list[Mismatch]:
        looked = [one for one in mismatches if not _is_suspect(one)]
        suspects = [one for one in mismatches if _is_suspect(one)]
        for start in range(0, len(suspects), self.policy.suspects_at_once):
            some = suspects[start : start + self.policy.suspects_at_once]
            looked += await self._look({one.key: one for one in some}, barrier_passed)
        return looked

    def _told(
        self, started: datetime, cut: Cut, found: _Found, mismatches: Sequence[Mismatch], complete: bool
    ) -> TablesCompared:
        grouped = by_group(mismatches, {self.entity: found.source})
        counts = self._counts(found, grouped)
        outcome = of_full([counts], complete)
        run = RunRecord(
            domain=self.entity,
            run=started.isoformat(timespec="seconds"),
            mode="gate",
            started_at=started,
            finished_at=utc_now(),
            plan_fingerprint="",
            levels=(_with_passes(outcome, cut, found),),
            entities=(counts,),
        )
        return TablesCompared(run, tuple(grouped))

    def _counts(self, found: _Found, mismatches: Sequence[Mismatch]) -> EntityCounts:
        states = Counter(one.state for one in mismatches)
        differing = [one for one in mismatches if one.state not in (State.CLEARED, State.REPAIRED)]
        return EntityCounts(
            entity=self.entity,
            source=found.source,
            target=found.target,
            compared=found.source,
            equal=found.source - sum(one.kind is not Kind.EXTRA for one in differing),
            suspects=states[State.SUSPECT],
            settled=states[State.SETTLED],
            hot=states[State.HOT],
            cleared=states[State.CLEARED],
            by_rule=dict(found.by_rule),
        )


def _number_of(left: Bucket | None, right: Bucket | None) -> int:
    one = left or right
    assert one is not None
    return one.number


def _unlike(left: Hashes | None, right: Hashes | None) -> list[bytes]:
    """The keys that only one side has, or with another hash."""
    here, there = (set(one.rows.items()) if one else set() for one in (left, right))
    return [key_of(row_key) for row_key in sorted({row_key for row_key, _ in here ^ there})]


def _with_passes(outcome: LevelOutcome, cut: Cut, found: _Found) -> LevelOutcome:
    passes = {
        "hash": "native" if cut.native else "portable",
        "buckets": found.buckets,
        "unlike_buckets": len(found.unlike),
        "drilled": found.drilled,
    }
    return replace(outcome, details={**outcome.details, **passes})


def _is_suspect(mismatch: Mismatch) -> bool:
    return mismatch.state is State.SUSPECT
