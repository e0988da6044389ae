"""What the library shows of its reads to whoever watches them: outcomes and times of both sides, and dark reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from midflight.core.routing import Route, Side
from midflight.gateway.compare import Comparator
from midflight.records import ReadMismatch, ReadReport


@dataclass(frozen=True, slots=True)
class ReadCall:
    """One read of the application. `entity` is the entity key as canonical key bytes (`midflight.core.keys`)."""

    operation: str
    entity: bytes
    route: Route
    compare: Comparator[Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one side answered: a value, or the error it raised, and after how long."""

    value: Any
    error: Exception | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Observations:
    """What is to be published of one domain."""

    domain: str
    reports: Sequence[ReadReport]
    mismatches: Sequence[ReadMismatch]


class ReadObserver(Protocol):
    """Watches reads. One object per running engine.

    `served`, `fell_back`, `shadow_skipped` and `sampled` are called on the caller's path, from any thread: they are
    quick and thread-safe. An error of an observer never reaches the application.
    """

    def served(self, call: ReadCall, side: Side, outcome: Outcome) -> None:
        """One side answered within the caller's path (also where the caller then got the other side's answer)."""

    def fell_back(self, call: ReadCall) -> None:
        """The target failed or was slow (`served` has told its error), and the source was asked instead."""

    def shadow_skipped(self, route: Route, operation: str) -> None:
        """A write at the source whose shadow write was not done in time."""

    def sampled(
        self,
        call: ReadCall,
        side: Side,
        outcome: Outcome,
        other: Callable[[], Awaitable[Any]],
        again: Callable[[], Awaitable[Any]] | None = None,
    ) -> Coroutine[Any, Any, None] | None:
        """A read that is in the sample, before its answer is returned: `side` gave `outcome`, `other` asks the other.

        `again` asks the same side once more: a difference is looked at a second time at both sides, because a write
        between the two reads looks like one. Both may be called more than once, each time for a new answer.

        Returns the work to be done off the caller's path (the engine runs it as a task on its own event loop and
        awaits it, or cancels it, when it closes), or None where this dark read is not made. With the sync twin `other`
        runs the function in a small pool of threads. Never called for an entity that is behind.
        """

    def take(self) -> list[Observations]:
        """What was gathered since the last call. The engine publishes it every `Policy.publish_seconds`."""

    def give_back(self, observations: Observations) -> None:
        """These could not be published: they come with the next `take`, as far as there is room."""

    async def close(self) -> None:
        """The engine closes; no method but `take` is called after this."""
