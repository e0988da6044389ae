"""How hard a run may work, how long it may wait, and how sure a sample has to be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Defaults suit a domain of some million keys beside live traffic."""

    batch_size: int = 2_000
    """Keys that are compared, and committed, at once."""
    range_size: int = 250_000
    """About how many keys a range holds."""
    parallel: int = 2
    """Ranges that are compared at the same time."""
    documents_per_second: float | None = None
    """Keys a second, all ranges together; None is as fast as it goes."""
    barrier_seconds: float = 60.0
    """How long the target may take to follow before a run is left incomplete."""
    rounds: int = 24
    """How often suspects are looked at again; whoever changed every time is hot."""
    suspects_at_once: int = 1_000
    exact: bool = False
    """Ask of every key, beside its fields, whether the target's rows give the source's very bytes."""
    guarded: bool = True
    """Whether the target notes what was applied to it. If not, nobody can tell somebody else's rows from a loss."""
    sample_rate: float = 1e-3
    sample_confidence: float = 0.95
    """A sample is so large that without a mismatch fewer than `sample_rate` of the keys differ, at this confidence."""


DEFAULT = Policy()
