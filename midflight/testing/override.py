"""Puts an application's own tests into a stage, without servers.

    with override_stage(loyalty, "ramp", reads_percent=100) as stage:
        await balance("m1")                          # answered by the target's function
        await earn("m1", 10)                         # done by the source's function
        assert stage.keys("members") == ["m1"]       # what the shadow write would have been of

It is a decorator too, for plain and for async functions, and does for a fixture: `with override_stage(...): yield`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS, Route, Side
from midflight.gateway import AsyncDomain, AsyncGateway, Domain, Gateway
from midflight.gateway.overriding import named, overridden

F = TypeVar("F", bound=Callable[..., Any])
Where = AsyncGateway | Gateway | AsyncDomain[Any] | Domain[Any]
_AT_TARGET = (Stage.TARGET, Stage.TARGET_ONLY)


def override_stage(
    where: Where, stage: Stage | str, *, reads_percent: float = 0, dark_reads_percent: float = 0
) -> StageOverride:
    """Fix the route of a domain, or of all domains a gateway has given handles of, for the length of a `with`.

    Nothing is polled, no write is parked (in `hold` it raises WritesHeld at once), no dark read is made, no shadow is
    written: the documents that writes at the source name are recorded instead. ValueError for an unknown stage or a
    percentage outside 0 to 100.
    """
    return StageOverride(_names(where), _Wish(Stage(stage), reads_percent, dark_reads_percent))


@dataclass(frozen=True, slots=True)
class _Wish:
    stage: Stage
    reads_percent: float
    dark_reads_percent: float

    def __post_init__(self) -> None:
        for percent in (self.reads_percent, self.dark_reads_percent):
            if not 0 <= percent <= 100:
                raise ValueError(f"{percent:g} is no percentage: give 0 to 100.")

    def route(self, domain: str, revision: int) -> Route:
        """As the ledger would tell it."""
        at_target = self.stage in _AT_TARGET
        return Route(
            domain=domain,
            authority=Side.TARGET if at_target else Side.SOURCE,
            epoch=2 if at_target else 1,
            revision=revision,
            accepting=at_target,
            stage=self.stage,
            reads_bp=round(self.reads_percent * BUCKETS / 100),
            dark_reads_bp=round(self.dark_reads_percent * BUCKETS / 100),
        )


@dataclass
class StageOverride:
    """What `override_stage` returns: context manager and decorator. One may be inside another; the inner one counts."""

    _domains: tuple[str, ...]
    _wish: _Wish
    _before: list[dict[str, tuple[Route | None, list[tuple[str, Any]]]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._before.append({name: (overridden.get(name), named.get(name, [])) for name in self._domains})
        named.update({name: [] for name in self._domains})
        self._apply()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, (route, keys) in self._before.pop().items():
            named[name] = keys
            if route is None:
                del overridden[name], named[name]
            else:
                overridden[name] = route

    def __call__(self, function: F) -> F:
        """Decorate a test."""
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("F", later)

        @wraps(function)
        def now(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast("F", now)

    def move(self, stage: Stage | str, *, reads_percent: float = 0, dark_reads_percent: float = 0) -> None:
        """Go to another stage in the middle of the test. What was recorded stays."""
        self._wish = _Wish(Stage(stage), reads_percent, dark_reads_percent)
        self._apply()

    def keys(self, collection: str) -> list[Any]:
        """The `_id`s that writes at the source named in this collection so far, in order."""
        return [key for name in self._domains for where, key in named.get(name, []) if where == collection]

    def _apply(self) -> None:
        for name in self._domains:
            revision = overridden[name].revision + 1 if name in overridden else 1
            overridden[name] = self._wish.route(name, revision)


def _names(where: Where) -> tuple[str, ...]:
    if isinstance(where, AsyncDomain | Domain):
        return (where.name,)
    return tuple(where._domains)
