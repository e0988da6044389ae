"""Where a read or a write goes: pure decisions from the route of a domain. Protocol section 3.

The percentage hashes the entity key (the member, the account: whoever must see one store), with a formula of our own
that never changes: blake2b of 64 bits over length-prefixed domain, salt and canonical key bytes, scaled to 10,000 by
multiply and shift. Two salts, or the compared keys would always be the ramped ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from midflight.core.phase import Stage

BUCKETS = 10_000
READS = "reads"
DARK_READS = "dark_reads"


class Side(StrEnum):
    """One of the two stores."""

    SOURCE = "source"
    TARGET = "target"

    @property
    def other(self) -> Side:
        """The other store."""
        return Side.TARGET if self is Side.SOURCE else Side.SOURCE


@dataclass(frozen=True, slots=True)
class Route:
    """What an application sees of the authority row.

    `revision` counts every change of the row. `applied_mark` is the last of our marks that the tail has applied:
    everything that the source acknowledged before that mark was written is in the target. Percentages in basis points.
    """

    domain: str
    authority: Side
    epoch: int
    revision: int
    accepting: bool
    stage: Stage
    reads_bp: int
    dark_reads_bp: int
    applied_mark: int = 0


def bucket(domain: str, salt: str, entity: bytes) -> int:
    """The bucket of an entity key (canonical key bytes), 0 to 9,999."""
    parts = (domain.encode(), salt.encode(), entity)
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    number = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
    return (number * BUCKETS) >> 64


def write_side(route: Route) -> Side | None:
    """Where a write goes now; None while writes are held."""
    if route.stage is Stage.HOLD:
        return None
    return Side.TARGET if route.stage in (Stage.TARGET, Stage.TARGET_ONLY) else Side.SOURCE


def read_side(route: Route, entity: bytes) -> Side:
    """Where a read of this entity goes now, if nothing says that the target is behind for it."""
    # While the way back holds writes, the source still lacks what the reverse tail has not written.
    if route.authority is Side.TARGET or route.stage in (Stage.TARGET, Stage.TARGET_ONLY):
        return Side.TARGET
    if route.stage in (Stage.RAMP, Stage.HOLD):
        return Side.TARGET if bucket(route.domain, READS, entity) < route.reads_bp else Side.SOURCE
    return Side.SOURCE


def sampled(route: Route, entity: bytes) -> bool:
    """Whether a read of this entity is also made at the other store and compared."""
    if route.stage not in (Stage.DARK_READ, Stage.RAMP):
        return False
    return bucket(route.domain, DARK_READS, entity) < route.dark_reads_bp


def shadows(route: Route) -> bool:
    """Whether a write at the source is followed by an awaited shadow write."""
    return route.authority is Side.SOURCE and route.stage not in (Stage.OFF, Stage.TARGET, Stage.TARGET_ONLY)
