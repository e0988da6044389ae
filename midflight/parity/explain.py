"""One key, explained: both sides, the guard, what differs, why, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from midflight.parity.look import Seen, decided, look
from midflight.parity.records import Entry, FieldDifference, Mismatch, State
from midflight.parity.work import Work

LOOKS = 3
NEIGHBOURS = 300
"""More mismatches than can lie between a key without its last byte and the key."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a close look at one key shows. `mismatch` is None where both sides say the same, or neither has the key.

    The target's `version` and `token` are the guard's. `kept` is what the newest run that knows the key says of it.
    """

    entity: str
    key: bytes
    source: Entry | None
    target: Entry | None
    differences: tuple[FieldDifference, ...]
    by_rule: tuple[str, ...]
    type_drift: tuple[str, ...]
    mismatch: Mismatch | None
    kept: Mismatch | None


async def explain(work: Work, entity: str, key: bytes) -> Explanation:
    """Look at the key; where it differs, let the target follow and look again, so that lag is told from loss."""
    seen, mismatch = await _seen_to_the_end(work, entity, key)
    return Explanation(
        entity=entity,
        key=key,
        source=seen.source,
        target=seen.target,
        differences=mismatch.fields if mismatch is not None else (),
        by_rule=seen.compared.by_rule,
        type_drift=seen.compared.type_drift,
        mismatch=None if mismatch is None or mismatch.state is State.CLEARED else mismatch,
        kept=await _kept(work, entity, key),
    )


async def _seen_to_the_end(work: Work, entity: str, key: bytes) -> tuple[Seen, Mismatch | None]:
    """Up to three looks, a barrier before the last, as in a run."""
    seen = mismatch = None
    for number in range(LOOKS):
        if number == LOOKS - 1 and not await work.barrier.passed(work.policy.barrier_seconds):
            break
        (seen,) = await look(work, entity, [key])
        mismatch = decided(work, entity, seen, mismatch, barrier_passed=number == LOOKS - 1)
        if mismatch is None or mismatch.state is not State.SUSPECT:
            break
    assert seen is not None
    return seen, mismatch


async def _kept(work: Work, entity: str, key: bytes) -> Mismatch | None:
    for record in await work.store.history(work.domain):
        near = await work.store.mismatches(work.domain, record.run, after=(entity, key[:-1]), at_most=NEIGHBOURS)
        for mismatch in near:
            if (mismatch.entity, mismatch.key) == (entity, key):
                return mismatch
    return None
