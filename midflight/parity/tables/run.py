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
"""So many are kept one by one: whoever has more has no use for the list. All are counted, and the run says so."""
KEYS_AT_ONCE = 200_000
"""So many keys that are not alike are held in memory, give or take a bucket, until their values were looked at."""


@dataclass(frozen=True, slots=True)
class TablesCompared:
    """A finished run, ready for a report, and its mismatches in order of discovery, `MOST_MISMATCHES` at most.

    The counts are of all of them; the details of the run's level say how many are `kept`.
    """

    run: RunRecord
    mismatches: tuple[Mismatch, ...]


@dataclass(slots=True)
class _Found:
    """What a run has counted so far. `kept` are the first mismatches, `beyond` counts the others, by state and kind."""

    source: int = 0
    target: int = 0
    buckets: int = 0
    unlike: list[int] = field(default_factory=list)
    drilled: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    kept: list[Mismatch] = field(default_factory=list)
    beyond: Counter[tuple[State, Kind]] = field(default_factory=Counter)

    def take(self, mismatches: Sequence[Mismatch]) -> None:
        """Keep as many as there is room for, and count the others."""
        room = max(0, MOST_MISMATCHES - len(self.kept))
        self.kept += mismatches[:room]
        self.beyond.update((one.state, one.kind) for one in mismatches[room:])

    def by_state_and_kind(self) -> Counter[tuple[State, Kind]]:
        """How many there are, kept or not, by state and kind."""
        return self.beyond + Counter((one.state, one.kind) for one in self.kept)


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

    With a `barrier` the target may be late: what differs is looked at again after it, as far as it is kept; what is
    beyond that and may only be late stays a suspect. Without a barrier nobody writes.
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
        await self._look_at_unlike(cut, found)
        found.kept = await self._settled(found.kept)
        return self._told(started, cut, found)

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

    async def _look_at_unlike(self, cut: Cut, found: _Found) -> None:
        """The drill-down, as many buckets at a time as have not too many unlike keys, and a first look at those."""
        numbers: Sequence[int] = found.unlike
        while numbers:
            keys, last = await self._drill(cut, numbers, found)
            for start in range(0, len(keys), self.policy.suspects_at_once):
                some = keys[start : start + self.policy.suspects_at_once]
                found.take(await self._look(dict.fromkeys(some), False, found))
            numbers = [] if last is None else [number for number in numbers if number > last]

    async def _drill(self, cut: Cut, numbers: Sequence[int], found: _Found) -> tuple[list[bytes], int | None]:
        """The keys of these buckets whose rows are not alike; the last bucket if there was no room for more."""
        keys: list[bytes] = []
        source, target = self.source.hashes(self.entity, cut, numbers), self.target.hashes(self.entity, cut, numbers)
        async with aclosing(paired(source, target)) as pairs:
            async for left, right in pairs:
                found.drilled += len(left.rows if left else ())
                keys += _unlike(left, right)
                if len(keys) >= KEYS_AT_ONCE:
                    return keys, _number_of(left, right)
        return keys, None

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
            guarded=False,
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

    def _told(self, started: datetime, cut: Cut, found: _Found) -> TablesCompared:
        # Each kept one stands for its share of those that are not.
        of_kept = -(-found.source * len(found.kept) // max(1, found.by_state_and_kind().total()))
        grouped = by_group(found.kept, {self.entity: of_kept})
        counts = self._counts(found)
        run = RunRecord(
            domain=self.entity,
            run=started.isoformat(timespec="seconds"),
            mode="gate",
            started_at=started,
            finished_at=utc_now(),
            plan_fingerprint="",
            levels=(_with_details(of_full([counts], True), cut, found),),
            entities=(counts,),
        )
        return TablesCompared(run, tuple(grouped))

    def _counts(self, found: _Found) -> EntityCounts:
        states, unequal = Counter[State](), 0
        for (state, kind), number in found.by_state_and_kind().items():
            states[state] += number
            if kind is not Kind.EXTRA and state not in (State.CLEARED, State.REPAIRED):
                unequal += number
        return EntityCounts(
            entity=self.entity,
            source=found.source,
            target=found.target,
            compared=found.source,
            equal=found.source - unequal,
            suspects=states[State.SUSPECT],
            settled=states[State.SETTLED],
            hot=states[State.HOT],
            cleared=states[State.CLEARED],
            by_rule=dict(found.by_rule),
        )


def _number_of(left: Bucket | Hashes | None, right: Bucket | Hashes | None) -> int:
    one = left or right
    assert one is not None
    return one.number


def _unlike(left: Hashes | None, right: Hashes | None) -> list[bytes]:
    """The keys that only one side has, or with another hash."""
    here, there = (set(one.rows.items()) if one else set() for one in (left, right))
    return [key_of(row_key) for row_key in sorted({row_key for row_key, _ in here ^ there})]


def _with_details(outcome: LevelOutcome, cut: Cut, found: _Found) -> LevelOutcome:
    details = {
        "hash": "native" if cut.native else "portable",
        "buckets": found.buckets,
        "unlike_buckets": len(found.unlike),
        "drilled": found.drilled,
        "kept": len(found.kept),
    }
    reason = outcome.reason
    if found.beyond:
        reason += f"; the first {len(found.kept)} mismatches are kept, the others are only counted"
    return replace(outcome, reason=reason, details={**outcome.details, **details})


def _is_suspect(mismatch: Mismatch) -> bool:
    return mismatch.state is State.SUSPECT
