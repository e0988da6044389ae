"""Messages of the reverse tail."""

from __future__ import annotations

from midflight.contracts.base import Contract, DomainRef


class FollowBack(Contract):
    """Write dirty keys back to the source for at most `slice_seconds`."""

    ref: DomainRef
    slice_seconds: float
    batch_size: int = 500


class FollowedBack(Contract):
    """Counts of this slice. `done` is true when the target is no longer the authority."""

    written: int = 0
    deleted: int = 0
    refused: int = 0
    done: bool = False


FEW_DIRTY = 100
"""So few dirty keys may be left to be written back while writes are held."""


class DrainBack(Contract):
    """Wait until no dirty mark is pending. Nothing needs to be closed for it: it makes a hold short."""

    ref: DomainRef
    within_seconds: float
    at_most: int = 0


class DrainedBack(Contract):
    """Keys still pending and keys that the source refuses."""

    pending: int
    refused: int
    seconds: float
