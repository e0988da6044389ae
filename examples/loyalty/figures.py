"""What the requests come to: availability, latency by stage and kind, and how long writes waited in holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from examples.loyalty.records import Sent

ALL_READS, ALL_WRITES = "all reads", "all writes"


@dataclass(frozen=True, slots=True)
class Mark:
    """From `at` (seconds since 1970) on the application was in this stage; `label` is how people call it."""

    at: float
    stage: str
    label: str


@dataclass(frozen=True, slots=True)
class Window:
    """A time between two moments (seconds since 1970); of one process, where `port` is given."""

    began: float
    ended: float
    port: int = 0

    def touches(self, request: Sent) -> bool:
        """Whether the request was under way at any moment of it."""
        ours = not self.port or self.port == request.port
        return ours and request.at < self.ended and request.ended > self.began


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float


@dataclass(slots=True)
class Figures:
    """Of one run. `retried`: requests that a second process answered because the first one was gone.

    `hold_ms_*` are of the writes that were under way while writes were held (every hold, also a rollback's): how long
    each took from the beginning of the hold, or from its own if that was later, until it was answered.
    """

    requests: int = 0
    failed: int = 0
    retried: int = 0
    seconds: float = 0.0
    holds: int = 0
    held_writes: int = 0
    hold_ms_p99: float = 0.0
    hold_ms_max: float = 0.0
    latency: dict[str, dict[str, Latency]] = field(default_factory=dict)

    @property
    def availability(self) -> float:
        """The share of requests that did not fail."""
        return 1.0 - self.failed / self.requests if self.requests else 0.0

    @property
    def per_second(self) -> float:
        """Requests a second, from the first to the last."""
        return self.requests / self.seconds if self.seconds else 0.0


def figures(requests: Sequence[Sent], marks: Sequence[Mark], without: Sequence[Window] = ()) -> Figures:
    """`without`: times in which a process was stopped on purpose; what waited for it does not count as a hold."""
    holds = holds_of(marks)
    held = sorted(
        (request.ended - max(request.at, hold.began)) * 1_000
        for hold in holds
        for request in requests
        if request.is_write and hold.touches(request) and not any(window.touches(request) for window in without)
    )
    return Figures(
        requests=len(requests),
        failed=sum(request.result == "failed" for request in requests),
        retried=sum(request.tries > 1 for request in requests),
        seconds=_length(requests),
        holds=len(holds),
        held_writes=len(held),
        hold_ms_p99=percentile(held, 0.99),
        hold_ms_max=held[-1] if held else 0.0,
        latency=_latency(requests, marks),
    )


def holds_of(marks: Sequence[Mark]) -> list[Window]:
    """The times in which writes were held."""
    pairs = pairwise(marks)
    return [Window(mark.at, following.at) for mark, following in pairs if mark.stage == "hold"]


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share does not exceed; 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _latency(requests: Iterable[Sent], marks: Sequence[Mark]) -> dict[str, dict[str, Latency]]:
    """By label, in the order of the marks, then by kind."""
    found: dict[str, dict[str, list[float]]] = {mark.label: defaultdict(list) for mark in marks}
    place = 0
    for request in sorted(requests, key=lambda request: request.at):
        while place + 1 < len(marks) and marks[place + 1].at <= request.at:
            place += 1
        if marks:
            kinds = found[marks[place].label]
            kinds[request.kind].append(request.ms)
            kinds[ALL_WRITES if request.is_write else ALL_READS].append(request.ms)
    return {label: {kind: _summed(ms) for kind, ms in sorted(kinds.items())} for label, kinds in found.items() if kinds}


def _summed(values: list[float]) -> Latency:
    values.sort()
    p50, p95, p99 = (percentile(values, share) for share in (0.5, 0.95, 0.99))
    return Latency(len(values), p50, p95, p99, values[-1])


def _length(requests: Sequence[Sent]) -> float:
    if not requests:
        return 0.0
    return max(r.ended for r in requests) - min(r.at for r in requests)
