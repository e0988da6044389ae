"""Messages of the tail."""

from __future__ import annotations

from midflight.contracts.base import Contract, DomainRef


class Follow(Contract):
    """Follow the change feed from the committed position for at most `slice_seconds`."""

    ref: DomainRef
    slice_seconds: float
    batch_size: int = 1_000


class Followed(Contract):
    """Counts of this slice. `late` are writes that reached the source after the flip. It ends only when asked to."""

    events: int = 0
    written: int = 0
    deleted: int = 0
    stale: int = 0
    quarantined: int = 0
    late: int = 0
    done: bool = False


class Drain(Contract):
    """Write a mark to the source and wait until the tail has passed it."""

    ref: DomainRef
    within_seconds: float


class Drained(Contract):
    """The mark that was passed, and how long it took."""

    mark: int
    seconds: float
