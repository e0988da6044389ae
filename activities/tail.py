"""Tail: follow the change feed by keys and send each through the door; pin, drain and lag.

While the target is the authority it is a tripwire: nothing is applied, but a change of the source that is not the
reverse tail's own is quarantined with its image, and its key becomes dirty, so that the source is put right.
Beside it the keeper looks after the source's fence.
"""

from __future__ import annotations

import structlog
from temporalio import activity

from activities.opened import opened
from activities.slices import Progress, beating, stop_if_worker_stops, until_paused
from midflight.clock import seconds
from midflight.contracts.base import DomainRef
from midflight.contracts.tail import Drain, Drained, Follow, Followed
from midflight.core.outcome import Applied, FeedPosition
from midflight.core.routing import Side
from midflight.errors import AuthorityMoved, PositionLost
from midflight.keeper import keeping
from midflight.ports import Stores
from midflight.records import Changed, LateWrite, Position
from midflight.sync import Bridge, sync_keys
from midflight.waiting import drained

MARK_EVERY_SECONDS = 1.0
WAIT_SECONDS = 0.5

AFTER_GAP = "Late writes of the gap were not caught: compare both stores, or run parity after a way back."

log = structlog.get_logger("midflight.tail")


class TailActivities:
    """The activities of the tail."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def pin(self, ref: DomainRef) -> None:
        """Record where the tail starts: no newer than anything the backfill will read. A recorded position stays."""
        async with beating(ref.domain, "pin the position"), opened(self._stores, ref) as work:
            if await work.target.ledger.position(ref.domain) is None:
                token = await work.source.feed.pin(_collections(work))
                await work.target.ledger.pin(ref.domain, token)

    @activity.defn
    async def follow(self, request: Follow) -> Followed:
        """Apply changes until the slice is over or the workflow pauses it; under the target, watch for late writes."""
        tally = _Tally()
        async with until_paused(), opened(self._stores, request.ref) as work, keeping(work):
            await _Follower(work, request, tally).run()
        return tally.followed()

    @activity.defn
    async def drain(self, request: Drain) -> Drained:
        """Write a mark to the source and wait until the tail has applied everything before it. DrainTimeout."""
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "drain"):
            return await drained(work, request.within_seconds)

    @activity.defn
    async def forget(self, ref: DomainRef) -> None:
        """Leave nothing of ours in the source."""
        async with beating(ref.domain, "remove our marks"), opened(self._stores, ref) as work:
            await work.source.feed.forget(ref.domain)


class _Tally:
    """Counts of one call; a pause may end it at any moment."""

    def __init__(self) -> None:
        self.events = 0
        self.applied = Applied()
        self.late = 0

    def followed(self) -> Followed:
        a = self.applied
        return Followed(
            events=self.events,
            written=a.written,
            deleted=a.deleted,
            stale=a.stale,
            quarantined=a.quarantined,
            late=self.late,
        )


class _Follower:
    """One slice of the tail: events to keys, keys through the door, position and marks with them."""

    def __init__(self, work: Bridge, request: Follow, tally: _Tally) -> None:
        self._work, self._request, self._tally = work, request, tally
        self._domain = request.ref.domain
        self._progress = Progress(self._domain, "tail")
        self._lag = LagMeter()

    async def run(self) -> None:
        try:
            await self._follow()
        except PositionLost as lost:
            await self._leap_over_gap(lost)
            await self._follow()

    async def _follow(self) -> None:
        position = await self._start()
        feed, wait = self._work.source.feed, WAIT_SECONDS
        async with feed.follow(
            self._domain,
            _collections(self._work),
            position.token,
            at_most=self._request.batch_size,
            wait_seconds=wait,
        ) as changes:
            async for changed in changes:
                await self._pass_on(changed, position)
                position = _moved(position, changed)
                await self._report(changed)
                if self._progress.elapsed > self._request.slice_seconds:
                    return
                stop_if_worker_stops()

    async def _start(self) -> Position:
        position = await self._work.target.ledger.position(self._domain)
        if position is None:
            raise PositionLost(
                f"The ledger holds no feed position for {self._domain}.", next_step="Roll back to capture."
            )
        await self._mark()
        return position

    async def _leap_over_gap(self, lost: PositionLost) -> None:
        """Under the target nothing of the feed is applied: watch on from now, and say that nobody has watched the gap.

        Without that no mark would ever be passed again, and there would be no way back.
        """
        work = self._work
        position = await work.target.ledger.position(self._domain)
        if position is None or (await work.target.ledger.authority(self._domain)).authority == Side.SOURCE:
            raise lost
        token = await work.source.feed.pin(_collections(work))
        log.error("tripwire_gap", domain=self._domain, reason=lost.what)
        details = {"collections": _collections(work), "reason": lost.what, "next_step": AFTER_GAP}
        # Told first: a gap that is told twice does no harm, one that nobody hears of does.
        await work.target.ledger.record(self._domain, "tripwire_gap", "midflight", details)
        try:
            await work.target.reverse.late(work.plan, FeedPosition(token, position.commits, position.mark), {})
        except AuthorityMoved:
            raise lost from None

    async def _pass_on(self, changed: Changed, position: Position) -> None:
        """Apply under the source, watch under the target; each commits only while that is still so."""
        mark = max(position.mark, changed.mark or 0)
        checkpoint = FeedPosition(changed.token, position.commits, mark, changed.events)
        while True:
            try:
                applied = await sync_keys(self._work, changed.keys, "tail", after=changed.after, checkpoint=checkpoint)
            except AuthorityMoved:
                if await self._watched(changed, checkpoint):
                    break
            else:
                self._tally.applied += applied
                break
        self._tally.events += changed.events

    async def _watched(self, changed: Changed, checkpoint: FeedPosition) -> bool:
        """As a tripwire; False if the source is the authority again: then the change counts, and is to be applied."""
        work = self._work
        if (await work.target.ledger.authority(self._domain)).authority == Side.SOURCE:
            return False
        late = {name: found for name, keys in changed.keys.items() if (found := await self._late(name, keys))}
        try:
            await work.target.reverse.late(work.plan, checkpoint, late)
        except AuthorityMoved:
            return False
        await self._raise_alarm(late)
        return True

    async def _late(self, collection: str, keys: list[bytes]) -> list[LateWrite]:
        return await self._work.source.reverse.late_writes(collection, keys) if keys else []

    async def _raise_alarm(self, late: dict[str, list[LateWrite]]) -> None:
        """Names and counts only: the images lie in the quarantine."""
        for collection, writes in late.items():
            self._tally.late += len(writes)
            log.warning("late_write", domain=self._domain, collection=collection, count=len(writes))
            details = {"collection": collection, "count": len(writes)}
            await self._work.target.ledger.record(self._domain, "late_write", "midflight", details)

    async def _report(self, changed: Changed) -> None:
        if changed.mark is not None:
            self._lag.passed(changed.mark, seconds())
        lag = self._lag.seconds(seconds())
        self._progress.beat(sum(len(keys) for keys in changed.keys.values()), lag_seconds=lag)
        if self._lag.due(seconds()):
            if lag is not None:
                await self._work.target.ledger.report_lag(self._domain, lag)
            await self._mark()

    async def _mark(self) -> None:
        self._lag.sent(await self._work.source.feed.mark(self._domain), seconds())


class LagMeter:
    """Lag, end to end and by one clock: how long our own marks take to come back through the feed and the door."""

    def __init__(self) -> None:
        self._waiting: dict[int, float] = {}
        self._last_sent = 0.0
        self._last_lag: float | None = None

    def sent(self, mark: int, now: float) -> None:
        """A mark was written."""
        self._waiting[mark] = self._last_sent = now

    def passed(self, mark: int, now: float) -> None:
        """Everything up to this mark has been applied."""
        for known in [m for m in self._waiting if m <= mark]:
            self._last_lag = now - self._waiting.pop(known)

    def seconds(self, now: float) -> float | None:
        """The age of the oldest mark still under way, or what the last one took; None before the first came back."""
        oldest = min(self._waiting.values(), default=None)
        known = [self._last_lag] if self._last_lag is not None else []
        if oldest is not None and (known or now - oldest > MARK_EVERY_SECONDS):
            known.append(now - oldest)
        return round(max(known), 3) if known else None

    def due(self, now: float) -> bool:
        """Whether it is time for the next mark."""
        return now - self._last_sent >= MARK_EVERY_SECONDS


def _collections(work: Bridge) -> list[str]:
    return [entry.collection for entry in work.plan.collections]


def _moved(position: Position, changed: Changed) -> Position:
    return Position(changed.token, position.commits + 1, max(position.mark, changed.mark or 0))
