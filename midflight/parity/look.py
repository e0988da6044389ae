"""Look at keys: a wide look that only tells which are plainly equal, and a close one that judges the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from midflight.clock import utc_now
from midflight.parity.compare import Compared, compare
from midflight.parity.decide import decide, is_absent
from midflight.parity.exact import gives_back, image_difference
from midflight.parity.records import QUARANTINED, Entry, Mismatch, State
from midflight.parity.rules import Rules
from midflight.parity.tally import Tally
from midflight.parity.work import Work

NOTHING = Compared()


def differing(
    source: Iterable[Entry], target: Mapping[bytes, Entry], rules: Rules, tally: Tally, *, exact: bool = False
) -> list[bytes]:
    """The keys of these source entries that are not plainly equal; the others are counted by rule and drift.

    `exact` also takes those for unlike whose rows do not give the source's bytes, unless a rule was needed.
    """
    found = []
    for entry in source:
        other = target.get(entry.key)
        if other is None or other.unreadable or entry.unreadable:
            found.append(entry.key)
            continue
        compared = compare(entry, other, rules)
        given_back = gives_back(entry, other) if exact else None
        if compared.differences or (given_back is False and not compared.by_rule):
            found.append(entry.key)
            continue
        tally.unproven += given_back is None
        if compared.by_rule or compared.type_drift:
            tally.note_equal(entry, other, compared.by_rule, compared.type_drift)
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """One key as both sides held it at about the same moment."""

    key: bytes
    source: Entry | None
    target: Entry | None
    compared: Compared

    @property
    def quarantined(self) -> bool:
        """Whether the key is accounted for by the quarantine's own gate."""
        return any(entry is not None and entry.unreadable == QUARANTINED for entry in (self.source, self.target))


async def look(work: Work, entity: str, keys: Sequence[bytes]) -> list[Seen]:
    """Both sides of these keys, closely: whether the rows are still what was applied is asked, too."""
    source, target = await asyncio.gather(work.source.fetch(entity, keys), work.target.fetch(entity, keys, deep=True))
    rules, exact = work.rules_of(entity), work.policy.exact
    return await asyncio.to_thread(lambda: [_seen(key, source.get(key), target.get(key), rules, exact) for key in keys])


async def judge(work: Work, entity: str, keys: Sequence[bytes], tally: Tally) -> list[Mismatch]:
    """Those of the keys that differ, or may only be late; quarantined ones are counted. A first look."""
    found = []
    for seen in await look(work, entity, keys) if keys else ():
        tally.quarantined += seen.quarantined
        tally.by_rule.update(seen.compared.by_rule)
        if (mismatch := decided(work, entity, seen, None, barrier_passed=False)) is not None:
            found.append(mismatch)
    return found


async def look_again(work: Work, entity: str, known: Sequence[Mismatch], *, barrier_passed: bool) -> list[Mismatch]:
    """What is known of these keys after another look."""
    before = {mismatch.key: mismatch for mismatch in known}
    looked = [
        decided(work, entity, seen, before[seen.key], barrier_passed=barrier_passed)
        for seen in await look(work, entity, list(before))
    ]
    return [mismatch for mismatch in looked if mismatch is not None]


def decided(work: Work, entity: str, seen: Seen, before: Mismatch | None, *, barrier_passed: bool) -> Mismatch | None:
    """What `decide` says of what was seen."""
    return decide(
        seen.source,
        seen.target,
        seen.compared.differences,
        before,
        entity=entity,
        barrier_passed=barrier_passed,
        frozen=work.frozen,
        now=utc_now(),
        guarded=work.policy.guarded,
    )


def open_states() -> tuple[State, ...]:
    """The states in which the two sides still differ."""
    return (State.SUSPECT, State.SETTLED, State.HOT)


def _seen(key: bytes, source: Entry | None, target: Entry | None, rules: Rules, exact: bool) -> Seen:
    seen = Seen(key, source, target, NOTHING)
    if source is None or target is None or is_absent(source) or is_absent(target) or seen.quarantined:
        return seen
    compared = compare(source, target, rules)
    if exact and not (compared.differences or compared.by_rule) and gives_back(source, target) is False:
        compared = replace(compared, differences=(image_difference(source, target),))
    return Seen(key, source, target, compared)
