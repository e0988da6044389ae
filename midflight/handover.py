"""Handovers of authority, each within a given time or undone. Protocol sections 4 and 5; no Temporal in here.

A handover may die at any step, be asked for again while its first attempt still lives, or lose an answer. So every
call first looks at the ledger, and an attempt that finds another's remains undoes them instead of going on. What makes
this safe: a flip names the revision of its own hold, and whoever takes a hold back makes a new revision *before* the
fence comes down; then no flip that was asked for earlier can succeed any more.
"""

from __future__ import annotations

import asyncio

from midflight.attempt import Attempt, Missed, demand_marks, lower_fence, moved, names, stands
from midflight.clock import nap, seconds
from midflight.comparing import changed_keys, differing, differing_since
from midflight.contracts.cutover import HandBack, HandedOver, HandOver
from midflight.contracts.reverse import FEW_DIRTY
from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS, Side
from midflight.errors import AuthorityMoved, MidflightError, TargetUnavailable
from midflight.records import AuthorityRow
from midflight.reverse import drained_back, write_back_all
from midflight.sync import Bridge
from midflight.waiting import drained, to_the_end, within

LOOK_FIRST_SECONDS = 60.0
"""Before the hold nobody waits."""
UNDO_SECONDS = 5.0
ALONE_SECONDS = UNDO_SECONDS + 3.0
"""So long after its time, and no longer, an attempt that undoes itself knows that no successor has raised a fence."""
AGAIN_SECONDS = 0.2


async def hand_over(bridge: Bridge, request: HandOver, *, first: bool = True) -> HandedOver:
    """Make the target the authority, or leave everything as it was, stage `ramp` at 100 %.

    An attempt that is not the `first` only finds out what became of the one before. AuthorityMoved if the ledger is in
    another epoch; TargetUnavailable and SourceUnavailable while it cannot be told, or not be undone: ask again.
    """
    row = await bridge.target.ledger.authority(bridge.plan.domain)
    if stands(row, Side.TARGET, request.epoch + 1):
        return HandedOver(done=True, epoch=row.epoch)
    if not stands(row, Side.SOURCE, request.epoch):
        raise moved(bridge, row, request.epoch)
    if not first or row.stage is Stage.HOLD or await bridge.source.fence.fenced(names(bridge)):
        row = await to_the_end(take_back(bridge))
        done = row.authority == Side.TARGET
        reason = "" if done else "an earlier attempt ended before its flip, and was undone"
        return HandedOver(done=done, epoch=row.epoch, reason=reason)
    return await _Over(bridge, request).run()


async def hand_back(bridge: Bridge, request: HandBack, *, first: bool = True) -> HandedOver:
    """Make the source the authority, stage `ramp` at 100 %, or leave the target in charge, accepting, stage `target`.

    As `hand_over` otherwise; once the authority is back at the source there is only forward.
    """
    row = await bridge.target.ledger.authority(bridge.plan.domain)
    if stands(row, Side.SOURCE, request.epoch + 1):
        await to_the_end(_open_source(bridge, row))
        return HandedOver(done=True, epoch=row.epoch)
    if not stands(row, Side.TARGET, request.epoch):
        raise moved(bridge, row, request.epoch)
    if not first or not row.accepting or row.stage is Stage.HOLD:
        await to_the_end(bridge.target.ledger.reopen(bridge.plan.domain))
        return HandedOver(
            done=False, epoch=row.epoch, reason="an earlier attempt ended before its flip, and was undone"
        )
    return await _Back(bridge, request).run()


async def take_back(bridge: Bridge, revision: int | None = None) -> AuthorityRow:
    """The source takes writes again: fences down, stage `ramp` at 100 %. Under the target nothing is done.

    `revision` is that of the caller's own hold: another attempt's hold is left to that attempt.
    """
    ledger, domain = bridge.target.ledger, bridge.plan.domain
    row = await ledger.authority(domain)
    if row.authority == Side.TARGET:
        return row
    held = row.stage is Stage.HOLD
    if held and revision is not None and row.revision != revision:
        return row
    if held:
        try:
            # A new revision, which changes nothing else: a flip that is under way must fail before the fence is down.
            row = await ledger.set_stage(domain, Stage.HOLD, row.reads_bp, 0 if row.dark_reads_bp else 1)
        except AuthorityMoved:
            return await ledger.authority(domain)
    # Whoever slept until now may have a successor, and its fence must stay.
    if await ledger.authority(domain) != row:
        return await take_back(bridge, None if revision is None else row.revision)
    # The fence first: an instance that sees `ramp` writes to the source at once.
    await lower_fence(bridge)
    return await ledger.set_stage(domain, Stage.RAMP, BUCKETS, 0) if held else row


class _Over(Attempt):
    """One attempt to make the target the authority."""

    def __init__(self, bridge: Bridge, request: HandOver) -> None:
        super().__init__(bridge, request.seconds)
        self._epoch = request.epoch
        self._token = request.token
        self._suspects: dict[str, list[bytes]] = {}
        self._revision: int | None = None
        self._flip_asked = False

    async def run(self) -> HandedOver:
        try:
            await within(self._look_first(), LOOK_FIRST_SECONDS)
        except (MidflightError, TimeoutError) as why:
            return self.ended(self._epoch, done=False, why=why)
        self.began = seconds()
        try:
            return self.ended(await within(self._hold(), self.limit), done=True)
        except (Exception, asyncio.CancelledError) as why:
            # A cancellation may get lost on its way into the hold, which would then go on beside us.
            self.undoing = True
            row = await to_the_end(self._taken_back())
            done = stands(row, Side.TARGET, self._epoch + 1)
            if isinstance(why, asyncio.CancelledError) and not done:
                raise
            return self.ended(row.epoch, done=done, why=why)

    async def _look_first(self) -> None:
        """What needs no hold: connections are open, the tail is near, few keys are left to compare."""
        rows, domain = self.bridge.target.rows, self.bridge.plan.domain
        await self._raise_clock()
        # A table that was made anew since has no triggers; where they are all there this changes nothing.
        await self.bridge.target.fence.install(self.bridge.plan)
        # The token comes first, and what was being applied then is compared below: the tail has passed it.
        token = await rows.last_token(domain)
        await drained(self.bridge, self.limit)
        for suspect in await differing_since(self.bridge, self._token):
            self._suspects.setdefault(suspect.collection, []).append(suspect.key)
        self._token = token

    async def _raise_clock(self) -> None:
        """Guards at the source may be of another ledger, whose clock stood higher: they would keep writes back out."""
        largest = await self.bridge.source.reverse.largest_seq(names(self.bridge))
        await self.bridge.target.ledger.raise_clock(largest)

    async def _hold(self) -> int:
        bridge, ledger, domain = self.bridge, self.bridge.target.ledger, self.bridge.plan.domain
        with self.step("hold"):
            row = await ledger.set_stage(domain, Stage.HOLD, BUCKETS, 0)
        self._revision = row.revision
        with self.step("acknowledge"):
            await self.acknowledged(row.revision)
        with self.step("fence"):
            await bridge.source.fence.raise_fence(names(bridge), bridge.plan.source.application_users)
        with self.step("drain"):
            await drained(bridge, self.left)
        with self.step("verify"):
            await self._verify()
        with self.step("flip"):
            self._flip_asked = True
            return await ledger.flip(domain, self._epoch, row.revision)

    async def _verify(self) -> None:
        """Every key changed since it was last compared: the rows rebuild the very document of the source."""
        bridge, domain = self.bridge, self.bridge.plan.domain
        keys = await changed_keys(bridge, self._token)
        for name, suspects in self._suspects.items():
            keys[name] = list(dict.fromkeys([*keys[name], *suspects]))
        self.compared = sum(len(of_one) for of_one in keys.values())
        fenced, found, parked = await asyncio.gather(
            bridge.source.fence.fenced(names(bridge)),
            differing(bridge, keys),
            bridge.target.ledger.quarantined(domain, at_most=1),
        )
        if found:
            raise Missed(f"{len(found)} of {self.compared} changed documents differ: run parity again, then try again")
        if parked:
            raise Missed("a document went to quarantine: waive it by name, or fix and retry it, then try again")
        if missing := set(names(bridge)) - fenced:
            raise Missed(f"somebody lowered the fence of {', '.join(sorted(missing))}")

    async def _taken_back(self) -> AuthorityRow:
        """Undo, unless the flip has happened, which only the ledger knows. TargetUnavailable while it is silent."""
        began = seconds()
        while True:
            try:
                return await within(take_back(self.bridge, self._revision), UNDO_SECONDS)
            except (TimeoutError, TargetUnavailable):
                # Nobody can have flipped what was never asked for. An attempt that slept may have a successor, though.
                if not self._flip_asked and seconds() - self.began < self.limit + ALONE_SECONDS:
                    await lower_fence(self.bridge)
            if seconds() - began > UNDO_SECONDS:
                raise TargetUnavailable(
                    f"The stores did not answer while the handover of {self.bridge.plan.domain} was undone.",
                    next_step="Ask again: the ledger says what became of it.",
                )
            await nap(AGAIN_SECONDS)


class _Back(Attempt):
    """One attempt to make the source the authority again."""

    def __init__(self, bridge: Bridge, request: HandBack) -> None:
        super().__init__(bridge, request.seconds)
        self._epoch = request.epoch

    async def run(self) -> HandedOver:
        try:
            await within(self._look_first(), LOOK_FIRST_SECONDS)
        except (MidflightError, Missed, TimeoutError) as why:
            return self.ended(self._epoch, done=False, why=why)
        self.began = seconds()
        try:
            row = await within(self._flip_back(), self.limit)
        except (Exception, asyncio.CancelledError) as why:
            row = await to_the_end(self._reopened())
            if row.authority == Side.TARGET:
                if isinstance(why, asyncio.CancelledError):
                    raise
                return self.ended(row.epoch, done=False, why=why)
        with self.step("release"):
            await to_the_end(_open_source(self.bridge, row))
        return self.ended(row.epoch, done=True)

    async def _look_first(self) -> None:
        """What needs no hold: what was refused may be accepted by now, and most of what is dirty is written back."""
        await demand_marks(self.bridge)
        await self.bridge.target.reverse.retry_refused(self.bridge.plan.domain)
        await drained(self.bridge, self.limit)
        await write_back_all(self.bridge)
        await self._drain_dirty(LOOK_FIRST_SECONDS / 2, FEW_DIRTY)

    async def _flip_back(self) -> AuthorityRow:
        ledger, domain = self.bridge.target.ledger, self.bridge.plan.domain
        with self.step("hold"):
            row = await ledger.hold(domain)
        with self.step("acknowledge"):
            await self.acknowledged(row.revision)
        # Only now: who is in the middle of several transactions at the target must not be cut in half.
        with self.step("close"):
            await ledger.close(domain, row.revision)
        with self.step("tripwire"):
            await drained(self.bridge, self.left)
        with self.step("drain"):
            await self._drain_dirty(self.left, 0)
        with self.step("flip"):
            return await ledger.flip_back(domain, self._epoch)

    async def _drain_dirty(self, within_seconds: float, at_most: int) -> None:
        back = await drained_back(self.bridge, within_seconds, at_most)
        if back.refused:
            raise Missed(
                f"the source refuses {back.refused} documents of the target: with them missing it cannot be in charge;"
                " list them with `status`, mend them at the target, then try again"
            )
        if back.pending > at_most:
            raise Missed(f"{back.pending} keys were not written back to the source in time")

    async def _reopened(self) -> AuthorityRow:
        """Undo, unless the flip back has happened."""
        ledger, domain = self.bridge.target.ledger, self.bridge.plan.domain
        try:
            return await within(ledger.reopen(domain), UNDO_SECONDS)
        except AuthorityMoved:
            return await ledger.authority(domain)
        except TimeoutError:
            raise TargetUnavailable(f"The target did not answer while {domain} was reopened.") from None


async def _open_source(bridge: Bridge, row: AuthorityRow) -> None:
    """After the flip back: the fence down, then the stage that lets writes go on at the source.

    `row` is as the flip left it: if it has moved since, another attempt did this, and may have flipped again.
    """
    if row.stage is Stage.HOLD and await bridge.target.ledger.authority(bridge.plan.domain) == row:
        await lower_fence(bridge)
        await bridge.target.ledger.set_stage(bridge.plan.domain, Stage.RAMP, BUCKETS, 0)
