"""What crosses the ports about the application's library: its instances, and what its reads showed."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from midflight.core import histogram


@dataclass(frozen=True, slots=True)
class Beat:
    """What an instance says with each poll: the revision it obeys, and the oldest revision a write in flight obeys.

    `oldest_revision` and `oldest_seconds` (the age of that write) are None when no write is in flight.
    """

    instance: str
    seen_revision: int
    lease_seconds: float
    oldest_revision: int | None = None
    oldest_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance of the application as the ledger knows it; ages and the rest of its lease in seconds."""

    instance: str
    seen_revision: int
    oldest_revision: int | None
    oldest_seconds: float | None
    lease_left: float
    silent_seconds: float

    def acknowledges(self, revision: int) -> bool:
        """Whether it obeys this revision, with no older write in flight."""
        oldest = self.oldest_revision
        return self.seen_revision >= revision and (oldest is None or oldest >= revision)


@dataclass(slots=True)
class ReadReport:
    """What the reads of one operation showed since the last report. Histograms over `midflight.core.histogram.BOUNDS`.

    `compared` counts every comparison; what is not `equal`, `ignored` or `unclear` of it is a mismatch.
    `unclear` counts comparisons that ended in an error of the comparator or of a hook, `dropped` dark reads that were
    not made (limit, breaker, deadline), `fallbacks` reads that went to the source because the target failed,
    `shadow_skipped` shadow writes that were not done in time. `causes` counts differences by field and cause.
    """

    operation: str
    revision: int
    compared: int = 0
    equal: int = 0
    ignored: int = 0
    unclear: int = 0
    dropped: int = 0
    fallbacks: int = 0
    shadow_skipped: int = 0
    source_errors: int = 0
    target_errors: int = 0
    source_latency: list[int] = field(default_factory=list)
    target_latency: list[int] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    def add(self, other: ReadReport) -> None:
        """Count what the other one counted as well."""
        for name in _READ_COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.source_latency = histogram.add(self.source_latency, other.source_latency)
        self.target_latency = histogram.add(self.target_latency, other.target_latency)
        for cause, count in other.causes.items():
            self.causes[cause] = self.causes.get(cause, 0) + count


_READ_COUNTS = tuple(part.name for part in fields(ReadReport) if part.type == "int" and part.name != "revision")


READS_BREACHED = "reads_breached"
"""The kind of the audit entry that `Ledger.set_back` writes; its details: `revision` (after it), `breaches`."""


@dataclass(frozen=True, slots=True)
class ReadMismatch:
    """One difference that a dark read found. `sides` (cleaned values by side) only where a team asked for it."""

    operation: str
    entity: str
    fields: tuple[str, ...]
    cause: str
    sides: dict[str, object] | None = None
