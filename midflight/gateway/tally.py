"""Counts what reads show, by operation and revision, until it is published. Thread-safe and bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from midflight.core.histogram import empty, slot
from midflight.core.routing import Route, Side
from midflight.gateway.observing import Observations
from midflight.records import ReadMismatch, ReadReport

CAUSES_AT_MOST = 50
"""Causes an operation: paths may hold keys of maps, of which there is no end."""
OTHER_CAUSES = "(other causes)"
MISMATCHES_AT_MOST = 50
"""Mismatches a domain between two publications; the counts go on without them."""
REPORTS_AT_MOST = 500
"""Reports a domain that wait while the ledger is away; beyond, the oldest revisions are forgotten."""


@dataclass(slots=True)
class _Waiting:
    reports: dict[tuple[str, int], ReadReport] = field(default_factory=dict)
    mismatches: list[ReadMismatch] = field(default_factory=list)


class Tally:
    """Everything gathered since it was last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._domains: dict[str, _Waiting] = {}

    def count(self, route: Route, operation: str, *names: str) -> None:
        """Add one to each of the named counts of `ReadReport`."""

        def change(report: ReadReport) -> None:
            for name in names:
                setattr(report, name, getattr(report, name) + 1)

        self._change(route, operation, change)

    def answered(self, route: Route, operation: str, side: Side, seconds: float, *, failed: bool) -> None:
        """One side was read: after how long, and whether it failed."""

        def change(report: ReadReport) -> None:
            latency = report.source_latency if side is Side.SOURCE else report.target_latency
            latency[slot(seconds)] += 1
            if side is Side.SOURCE:
                report.source_errors += failed
            else:
                report.target_errors += failed

        self._change(route, operation, change)

    def mismatched(self, route: Route, mismatch: ReadMismatch, causes: Iterable[str]) -> None:
        """A comparison found a difference that stays."""

        def change(report: ReadReport) -> None:
            report.compared += 1
            for cause in causes:
                _count_cause(report, cause, 1)

        self._change(route, mismatch.operation, change)
        with self._lock:
            waiting = self._domains.setdefault(route.domain, _Waiting())
            if len(waiting.mismatches) < MISMATCHES_AT_MOST:
                waiting.mismatches.append(mismatch)

    def ignored(self, route: Route, operation: str, cause: str) -> None:
        """A comparison found a difference that does not count, and why."""

        def change(report: ReadReport) -> None:
            report.compared += 1
            report.ignored += 1
            _count_cause(report, cause, 1)

        self._change(route, operation, change)

    def take(self) -> list[Observations]:
        """What was gathered; it is gone from here."""
        with self._lock:
            taken, self._domains = self._domains, {}
        return [Observations(name, list(one.reports.values()), one.mismatches) for name, one in taken.items()]

    def give_back(self, observations: Observations) -> None:
        """These could not be published: they are taken again with what has been gathered since."""
        with self._lock:
            waiting = self._domains.setdefault(observations.domain, _Waiting())
            for report in observations.reports:
                known = waiting.reports.setdefault((report.operation, report.revision), report)
                if known is not report:
                    _merge(known, report)
            _forget_oldest(waiting)
            room = MISMATCHES_AT_MOST - len(waiting.mismatches)
            waiting.mismatches[:0] = observations.mismatches[: max(room, 0)]

    def _change(self, route: Route, operation: str, change: Callable[[ReadReport], None]) -> None:
        with self._lock:
            reports = self._domains.setdefault(route.domain, _Waiting()).reports
            found = reports.get((operation, route.revision))
            if found is None:
                found = ReadReport(operation, route.revision, source_latency=empty(), target_latency=empty())
                reports[operation, route.revision] = found
            change(found)


def _count_cause(report: ReadReport, cause: str, count: int) -> None:
    known = cause in report.causes or len(report.causes) < CAUSES_AT_MOST
    name = cause if known else OTHER_CAUSES
    report.causes[name] = report.causes.get(name, 0) + count


def _merge(known: ReadReport, report: ReadReport) -> None:
    causes, report.causes = report.causes, {}
    known.add(report)
    for cause, count in causes.items():
        _count_cause(known, cause, count)


def _forget_oldest(waiting: _Waiting) -> None:
    """Evidence is of the newest revision: what an older one showed is the least loss."""
    while len(waiting.reports) > REPORTS_AT_MOST:
        del waiting.reports[min(waiting.reports, key=lambda key: key[1])]
