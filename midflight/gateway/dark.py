"""Dark reads: a sample of the application's reads is made at the other store too, off the caller's path, and compared.

What the caller pays for a read in the sample is a copy of its answer (`Comparator.clean`, then `compare.plain`), made
before it has the answer: afterwards it may change it as it likes. That is about a microsecond a value; where answers
are large, let `clean` keep only what counts. Everything else happens later, bounded in time (`Policy.dark_seconds`)
and number (`Policy.dark_at_once`); what does not fit in is dropped and counted.

A difference need not be one: a write may have come between the two reads, or not have reached the target yet. So it is
looked at again, at both sides, after growing pauses. If it heals it was lag. It is a mismatch only if it is there at
every look, and if the authority's answer did not change during the last pause.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from midflight.clock import seconds
from midflight.core.breach import IGNORED
from midflight.core.keys import key_text
from midflight.core.routing import Route, Side
from midflight.gateway.breaker import Breaker
from midflight.gateway.compare import Comparator, same
from midflight.gateway.observing import Observations, Outcome, ReadCall
from midflight.gateway.policy import Policy
from midflight.gateway.tally import Tally
from midflight.gateway.verdict import Answer, Kind, Verdict, answer_of, judge
from midflight.records import ReadMismatch

Ask = Callable[[], Awaitable[Any]]
LOOK_AGAIN_AFTER = (0.2, 1.0, 4.0)
"""Seconds. The last is longer than the tail takes in good health: what still differs then is no lag."""
LOOKED_AT_AGAIN_AT_ONCE = 32
LAG = f"{IGNORED}lag"
BY_COMPARATOR = f"{IGNORED}by the comparator"

_log = logging.getLogger(__name__)
_DEFAULT = Comparator[Any]()


class DarkReads:
    """Implements `midflight.gateway.observing.ReadObserver`."""

    def __init__(self, policy: Policy, *, look_again_after: Sequence[float] = LOOK_AGAIN_AFTER) -> None:
        self._policy, self._look_again_after = policy, look_again_after
        self._tally = Tally()
        self._at_once, self._again_at_once = _Slots(policy.dark_at_once), _Slots(LOOKED_AT_AGAIN_AT_ONCE)
        self._breakers: dict[tuple[str, Side], Breaker] = {}
        self._told: set[tuple[str, str]] = set()

    # --- on the caller's path -----------------------------------------------------------------------------------------

    def served(self, call: ReadCall, side: Side, outcome: Outcome) -> None:
        """Count a read of the caller's path."""
        failed = outcome.error is not None
        self._tally.answered(call.route, call.operation, side, outcome.seconds, failed=failed)

    def fell_back(self, call: ReadCall) -> None:
        """Count a read that went to the source because the target failed."""
        self._tally.count(call.route, call.operation, "fallbacks")

    def shadow_skipped(self, route: Route, operation: str) -> None:
        """Count a shadow write that was not done in time."""
        self._tally.count(route, operation, "shadow_skipped")

    def sampled(
        self, call: ReadCall, side: Side, outcome: Outcome, other: Ask, again: Ask | None = None
    ) -> Coroutine[Any, Any, None] | None:
        """The dark read to be made; None where it is dropped: no room, breaker open, nothing to compare with."""
        comparator = call.compare or _DEFAULT
        if not self._at_once.take():
            self._drop(call)
            return None
        try:
            if not _away(comparator, outcome) and self._breaker(call, side.other).allows():
                served = answer_of(comparator, outcome)
                asks = {side.other: other} if again is None else {side.other: other, side: again}
                return self._dark_read(_DarkRead(call, comparator, side, served, asks))
            self._drop(call)
        except Exception as error:
            self._unclear(call, error)
        self._at_once.give()
        return None

    # --- off the caller's path ----------------------------------------------------------------------------------------

    async def _dark_read(self, read: _DarkRead) -> None:
        try:
            try:
                verdict = await self._first_look(read)
            finally:
                self._at_once.give()
            if verdict is not None and verdict.kind is Kind.DIFFERENT and len(read.asks) == len(Side):
                await self._look_again(read, verdict)
            else:
                self._count(read.call, verdict)
        except Exception as error:
            self._unclear(read.call, error)

    async def _first_look(self, read: _DarkRead) -> Verdict | None:
        side, breaker = read.side.other, self._breaker(read.call, read.side.other)
        outcome = await self._asked(read, side)
        self.served(read.call, side, outcome)
        if _away(read.comparator, outcome):
            breaker.failed()
            return None
        breaker.succeeded()
        return judge(read.comparator, {read.side: read.served, side: answer_of(read.comparator, outcome)})

    async def _look_again(self, read: _DarkRead, verdict: Verdict) -> None:
        if not self._again_at_once.take():
            self._drop(read.call)
            return
        try:
            await self._settle(read, verdict)
        finally:
            self._again_at_once.give()

    async def _settle(self, read: _DarkRead, verdict: Verdict) -> None:
        """Count the difference as what it turns out to be."""
        authority, stood_still = read.call.route.authority, False
        for pause in self._look_again_after:
            before = await self._answer(read, authority)
            await asyncio.sleep(pause)
            # In this order: if the authority says the same before and after, it did so while the other was asked.
            other, now = await self._answer(read, authority.other), await self._answer(read, authority)
            if before is None or other is None or now is None:
                self._drop(read.call)
                return
            verdict = judge(read.comparator, {authority: now, authority.other: other})
            stood_still = (before.failed, True) == (now.failed, same(before.value, now.value))
            if verdict.kind is not Kind.DIFFERENT:
                break
        if verdict.kind is Kind.EQUAL or (verdict.kind is Kind.DIFFERENT and not stood_still):
            self._tally.ignored(read.call.route, read.call.operation, LAG)
        else:
            self._count(read.call, verdict)

    async def _answer(self, read: _DarkRead, side: Side) -> Answer | None:
        """What this side says now; None where it is away."""
        outcome = await self._asked(read, side)
        if _away(read.comparator, outcome):
            return None
        return answer_of(read.comparator, outcome)

    async def _asked(self, read: _DarkRead, side: Side) -> Outcome:
        began, deadline = seconds(), asyncio.timeout(self._policy.dark_seconds)
        try:
            async with deadline:
                value = await read.asks[side]()
        except Exception as error:
            return Outcome(None, _Late() if deadline.expired() else error, seconds() - began)
        return Outcome(value, None, seconds() - began)

    # --- counting -----------------------------------------------------------------------------------------------------

    def _count(self, call: ReadCall, verdict: Verdict | None) -> None:
        if verdict is None:
            self._drop(call)
        elif verdict.kind is Kind.EQUAL:
            self._tally.count(call.route, call.operation, "compared", "equal")
        elif verdict.kind is Kind.IGNORED:
            self._tally.ignored(call.route, call.operation, BY_COMPARATOR)
        else:
            mismatch = ReadMismatch(
                operation=call.operation,
                entity=key_text(call.entity),
                fields=verdict.fields,
                cause=verdict.differences[0].cause,
                sides=verdict.sides() if self._policy.keep_values else None,
            )
            self._tally.mismatched(call.route, mismatch, verdict.causes)

    def _drop(self, call: ReadCall) -> None:
        self._tally.count(call.route, call.operation, "dropped")

    def _unclear(self, call: ReadCall, error: Exception) -> None:
        """An error of a hook is the team's to mend: tell it once, not with every read."""
        self._tally.count(call.route, call.operation, "compared", "unclear")
        told = (call.operation, type(error).__name__)
        if told not in self._told:
            self._told.add(told)
            _log.warning("the comparison of %s failed, its reads count as unclear", call.operation, exc_info=error)

    def _breaker(self, call: ReadCall, side: Side) -> Breaker:
        new = Breaker(self._policy.breaker_failures, self._policy.breaker_seconds)
        return self._breakers.setdefault((call.route.domain, side), new)

    # --- what the engine takes ----------------------------------------------------------------------------------------

    def take(self) -> list[Observations]:
        """What was gathered since the last call."""
        return self._tally.take()

    def give_back(self, observations: Observations) -> None:
        """These could not be published."""
        self._tally.give_back(observations)

    async def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class _DarkRead:
    """A read in the sample: `side` served it; `asks` ask each side anew (the serving side where that is possible)."""

    call: ReadCall
    comparator: Comparator[Any]
    side: Side
    served: Answer
    asks: Mapping[Side, Ask]


class _Late(Exception):
    """Our own deadline: no hook is asked what it means."""


def _away(comparator: Comparator[Any], outcome: Outcome) -> bool:
    """Whether the store could not be asked, so that there is nothing to compare."""
    error = outcome.error
    return error is not None and (isinstance(error, _Late) or comparator.away(error))


class _Slots:
    """Room for so many at once, counted over threads: taken where a read is served, given back on the engine's loop."""

    def __init__(self, room: int) -> None:
        self._lock, self._room = threading.Lock(), room

    def take(self) -> bool:
        with self._lock:
            free = self._room > 0
            self._room -= free
            return free

    def give(self) -> None:
        with self._lock:
            self._room += 1
