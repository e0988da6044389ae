"""One attempt at a handover: its time, its steps, its answer. And what both directions ask of the stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from midflight.clock import seconds
from midflight.contracts.cutover import HandedOver
from midflight.core.routing import Side
from midflight.errors import AuthorityMoved, MidflightError
from midflight.records import AuthorityRow
from midflight.sync import Bridge
from midflight.waiting import late_instances

TELL_SECONDS = 0.05
"""So much sooner than the whole a wait inside it ends: it must still be able to say who was late."""

log = structlog.get_logger("midflight.handover")


class Missed(Exception):
    """A step of a handover found what must not be, or waited in vain."""

    def __init__(self, reason: str, late: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.late = late


class Attempt:
    """What both directions share: the time, and how it was spent."""

    def __init__(self, bridge: Bridge, limit_seconds: float) -> None:
        self.bridge = bridge
        self.limit = limit_seconds
        self.began = seconds()
        self.steps: dict[str, float] = {}
        self.step_now = "look first"
        self.compared = 0
        self.undoing = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take the time of a step. None begins any more once the attempt is being undone."""
        if self.undoing:
            raise Missed("it is being undone already")
        self.step_now, began = name, seconds()
        try:
            yield
        finally:
            self.steps[name] = round(self.steps.get(name, 0.0) + seconds() - began, 4)

    @property
    def left(self) -> float:
        """Seconds that a step may wait."""
        return max(0.0, self.limit - TELL_SECONDS - (seconds() - self.began))

    async def acknowledged(self, revision: int) -> None:
        """Wait for the instances. Missed names those that are late."""
        late = await late_instances(self.bridge.target.registry, self.bridge.plan.domain, revision, self.left)
        if late:
            raise Missed("instances of the application did not acknowledge in time", late)

    def ended(self, epoch: int, *, done: bool, why: BaseException | None = None) -> HandedOver:
        """The answer. `why` it was undone, or how it nearly was."""
        late = why.late if isinstance(why, Missed) else ()
        reason = "" if done else self._reason(why)
        held = round(seconds() - self.began, 4) if self.steps else 0.0
        return HandedOver(
            done=done,
            epoch=epoch,
            reason=reason,
            late=late,
            seconds=held,
            steps=self.steps,
            compared=self.compared,
        )

    def _reason(self, why: BaseException | None) -> str:
        if isinstance(why, Missed | MidflightError):
            return str(why)
        if isinstance(why, TimeoutError):
            return f"step `{self.step_now}` was not done when its time was over"
        log.error("handover_failed", domain=self.bridge.plan.domain, step=self.step_now, exc_info=why)
        return f"step `{self.step_now}` failed ({type(why).__name__}); the worker's log has more"


async def demand_marks(bridge: Bridge) -> None:
    """Missed where a table of the target does not mark what is written there: it would not go back."""
    for table in await bridge.target.fence.status(bridge.plan):
        if not table.refuses:
            raise Missed(
                f"{table.place}: {table.detail}. What was written there meanwhile is not marked, so it would not go"
                " back to the source: `fence install` puts the triggers back; touch the rows written since, try again"
            )


async def lower_fence(bridge: Bridge) -> None:
    """The source takes writes again. Asks only the source."""
    await bridge.source.fence.lower_fence(names(bridge), bridge.plan.source.application_users)


def names(bridge: Bridge) -> list[str]:
    """The domain's collections."""
    return [collection.collection for collection in bridge.plan.collections]


def stands(row: AuthorityRow, side: Side, epoch: int) -> bool:
    """Whether this side is the authority, in this epoch."""
    return row.authority == side and row.epoch == epoch


def moved(bridge: Bridge, row: AuthorityRow, epoch: int) -> AuthorityMoved:
    """What to say to a handover that was meant for another epoch."""
    return AuthorityMoved(
        f"The {row.authority} is the authority of {bridge.plan.domain} in epoch {row.epoch}, not in {epoch}.",
        next_step="Look at `status`.",
    )
