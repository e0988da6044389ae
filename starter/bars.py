"""How far each collection is, how fast, how long it will take: numbers for progress bars. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from midflight.contracts.domain import DomainStatus
from midflight.core.phase import Phase
from starter.look import Look
from starter.moves import Work


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `total` is about right: it comes from the source's metadata. Seconds left: None when unknown."""

    name: str
    done: int
    total: int
    per_second: float = 0.0
    finished: bool = False

    @property
    def seconds_left(self) -> float | None:
        """At the rate of now."""
        if self.finished:
            return 0.0
        return max(0, self.total - self.done) / self.per_second if self.per_second > 0 else None

    @property
    def share(self) -> float:
        """Between 0 and 1; not 1 before it is finished."""
        if self.finished:
            return 1.0
        return min(0.999, self.done / self.total) if self.total else 0.0


def bars(seen: Look) -> list[Bar]:
    """A bar for each collection; while every document is compared, one more."""
    if seen.status is None:
        return []
    copying = [_collection(seen, seen.status, name) for name in seen.status.state.collections]
    return [*copying, _compared(seen, seen.status)] if seen.compared is not None else copying


def lag(seen: Look) -> float | None:
    """The tail's lag: its last heartbeat, or what was recorded."""
    beats = [work.beat.get("lag_seconds") for work in seen.works if work.beat.get("doing") == "tail"]
    known = [beat for beat in beats if isinstance(beat, int | float)]
    return float(known[0]) if known else seen.overview.lag_seconds


def _collection(seen: Look, status: DomainStatus, name: str) -> Bar:
    progress = status.state.collections[name]
    if progress.done:
        return Bar(name, progress.documents, max(progress.documents, progress.expected), finished=True)
    working = [w for w in seen.works if w.beat.get("doing") == "backfill" and w.beat.get("collection") == name]
    return Bar(name, seen.copied.get(name, 0) + _documents(working), progress.expected, _rate(working))


def _compared(seen: Look, status: DomainStatus) -> Bar:
    working = [w for w in seen.works if w.beat.get("doing") == "verify"]
    total = sum(max(c.documents, c.expected) for c in status.state.collections.values())
    finished = status.state.phase not in (Phase.BACKFILL, Phase.VERIFY) and not working
    return Bar("compared", (seen.compared or 0) + _documents(working), total, _rate(working), finished=finished)


def _documents(working: list[Work]) -> int:
    return sum(int(work.beat.get("documents", 0)) for work in working)


def _rate(working: list[Work]) -> float:
    return sum(float(work.beat.get("per_second", 0.0)) for work in working)
