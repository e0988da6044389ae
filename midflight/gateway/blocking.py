"""The application's library for threads: the same names as `midflight.gateway.aio`, plain functions.

Polling, shadow writes and reports run in one background thread with an event loop of its own; the application's
functions always run in the thread that calls them. Inside a running event loop every call raises GatewayMisused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from midflight.core.routing import Route
from midflight.gateway.aio import Keys
from midflight.gateway.compare import Comparator
from midflight.gateway.policy import DEFAULT, Policy

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")


class Gateway:
    """What a process of the application opens once. Nothing is opened before `start` or the first call."""

    def __init__(self, *, ledger: str, source: str, instance: str = "", policy: Policy = DEFAULT) -> None:
        """`ledger`: the DSN of the target; `source`: the URI of MongoDB; `instance`: how the ledger lists it."""
        raise NotImplementedError

    def domain(self, name: str, *, entity: type[K]) -> Domain[K]:
        """The handle of a domain whose entity keys are of this type; the same handle each time."""
        raise NotImplementedError

    def start(self) -> None:
        """Open connections and begin to poll; does not wait for the ledger. Repeating is safe; after a fork it starts

        anew. The first call of a domain does this too.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Wait for writes, shadow writes, dark reads and reports (bounded), give up the lease, close connections."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def floor(self) -> str:
        """What this context wrote that the target may not have yet: '' or a token (letters, digits, `-._~`)."""
        raise NotImplementedError

    def with_floor(self, token: str) -> AbstractContextManager[None]:
        """A context that reads no older than the token says, and gathers its own writes; garbage is ignored."""
        raise NotImplementedError

    def routes(self) -> dict[str, Route]:
        """The routes known now, by domain; empty before the first poll."""
        raise NotImplementedError


class Domain(Generic[K]):
    """One domain of a gateway. K is the entity key: the member, the account, whoever must see one store."""

    name: str

    @property
    def route(self) -> Route:
        """The route as it is known now; inside a unit of work the pinned one. NotReady before the first poll."""
        raise NotImplementedError

    def ready(self) -> Route:
        """Wait until the route is known. NotReady after `Policy.start_seconds`."""
        raise NotImplementedError

    def read(
        self,
        *,
        entity: Callable[P, K],
        target: Callable[P, R],
        compare: Comparator[R] | None = None,
        name: str = "",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate the function that reads from the source; `target` is its twin, with the same parameters.

        `entity` says from the arguments whose data this is. `name` (by default the function's) is how reports call
        it. Raises what the chosen side raises; NotReady while nobody can say which store is in charge.
        """
        raise NotImplementedError

    def write(
        self,
        *,
        entities: Callable[P, Iterable[K]],
        target: Callable[P, R],
        keys: Callable[P, Keys] | None = None,
        name: str = "",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate the function that writes to the source; `target` is its twin, with the same parameters.

        `entities` says whose data changes, `keys` which documents; what only the function knows it tells by `touched`.
        The source function must be atomic, or safe to repeat: it may be refused and done again at the target. Raises
        what the authority's side raises; WritesHeld when a hold outlasts `Policy.park_seconds`; NotReady.
        """
        raise NotImplementedError

    def touched(self, collection: str, *keys: Any) -> None:
        """Inside a write at the source: these documents (`_id`s) were touched. At the target it does nothing."""
        raise NotImplementedError

    def unit_of_work(self) -> AbstractContextManager[Route]:
        """Pin the route for everything inside; it counts as one write in flight, and waits at its entry while held.

        Its shadow writes are made when it ends. Refused in the middle it raises NotReady: begin it again.
        """
        raise NotImplementedError
