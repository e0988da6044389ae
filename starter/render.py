"""What people see: results as lines and tables. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from midflight.contracts.domain import DomainState
from midflight.contracts.parity import ParityReport
from midflight.contracts.retire import ArchiveReport
from midflight.records import QuarantineEntry
from starter.bars import Bar, bars, lag
from starter.evidence import gate
from starter.history import Report
from starter.look import Look
from starter.moves import Overview
from starter.prepared import Prepared
from starter.tables import columns, facts

STYLES = {
    "running": "green",
    "waiting": "cyan",
    "paused": "yellow",
    "rolled_back": "yellow",
    "attention": "red",
    "done": "bold green",
    "abandoned": "dim",
}
NO_ANSWER = "No worker answers. This is what was recorded last; `midflight worker` starts one."
LOG_LINES = 5
Lines = list[RenderableType]


def overviews(found: Sequence[Overview]) -> RenderableType:
    """A line for each domain."""
    if not found:
        return Text("No move was started yet: `midflight start PLAN`.")
    table = columns("domain", "phase", "state", "percent", "lag", "mismatches", "waiting for", "problem")
    for one in found:
        percent = "" if one.percent is None else f"{one.percent:.0f} %"
        table.add_row(
            Text(one.domain, style="bold"),
            one.phase,
            _state(one),
            percent,
            _lag(one.lag_seconds),
            "" if one.mismatches is None else f"{one.mismatches:,}",
            Text(one.waiting_for),
            Text(one.problem, style="red"),
        )
    return table


def look(seen: Look) -> Lines:
    """Everything `status` shows."""
    lines = _head(seen)
    if seen.status is None:
        return [*lines, Text(NO_ANSWER, style="yellow"), *_troubles(seen)]
    state = seen.status.state
    lines += _findings(state)
    if state.collections:
        lines += [Text(), _collections(seen)]
    if state.gate is not None:
        lines += [Text(), *gate(state.gate), *_how_to_approve(state)]
    if state.archive is not None:
        lines += [Text(), _archive(state.archive)]
    return [*lines, *_troubles(seen), *_log(state)]


def watched(seen: Look, now: float) -> RenderableType:
    """One frame of `watch`; `now` in seconds since 1970 only makes it move while nothing else does."""
    lines = _head(seen)
    if seen.status is None:
        return Group(*lines, Text(NO_ANSWER, style="yellow"), *_troubles(seen))
    table = Table.grid(padding=(0, 2))
    for bar in bars(seen):
        table.add_row(Text(bar.name), _bar(bar, now), *_numbers(bar))
    return Group(*lines, Text(), table, *_troubles(seen))


def prepared(found: Prepared) -> Lines:
    """How `start` ended."""
    failures = [finding for finding in found.findings if not finding.ok]
    lines: Lines = [_finding(f.check, f.detail, f.next_step) for f in failures]
    if found.parked:
        lines += [] if failures else [Text(found.problem, style="red")]
        lines.append(Text(f"The move of {found.domain} waits. Mend this, then: midflight resume {found.domain}"))
    elif found.findings:
        lines.append(Text(f"{len(found.findings)} checks passed; {found.domain} is in phase {found.phase}."))
    else:
        lines.append(Text(f"{found.domain} is in phase {found.phase}; see it with: midflight watch {found.domain}"))
    return lines


def quarantine(entries: Sequence[QuarantineEntry]) -> RenderableType:
    """A line for each entry."""
    if not entries:
        return Text("No open entry in quarantine; `--waived` shows those that were waived too.")
    table = columns("number", "collection", "field", "type", "column", "reason", "waived by")
    for entry in entries:
        cells = (entry.collection, entry.field, entry.value_type, entry.column, entry.reason, entry.waived_by or "")
        table.add_row(str(entry.number), *(Text(cell) for cell in cells))
    return table


def report(written: Report) -> Lines:
    """The whole report."""
    lines: Lines = [Text(f"{written.domain}: {written.phase}, {written.state}", style="bold")]
    if not written.answered:
        lines.append(Text("No worker answers: times of phases and parity are missing.", style="yellow"))
    lines += [Text(f"{span.phase:13} {span.entered}  {span.left or '(now)'}") for span in written.spans]
    if written.parity.run:
        lines += [Text(), Text("Parity", style="bold"), facts(_parity(written.parity))]
    lines += [Text(), _counts(written.counts), Text(f"{written.quarantine_open:,} documents wait in quarantine.")]
    lines += _way_back(written)
    if written.gates:
        lines += [Text(), _gates(written.gates)]
    return lines


def _parity(found: ParityReport) -> dict[str, Any]:
    levels = ", ".join(f"{one.level} {one.verdict}" for one in found.levels)
    return {**found.model_dump(), "levels": levels}


def _way_back(written: Report) -> Lines:
    lines: Lines = []
    if written.late_writes:
        lines.append(Text(f"{written.late_writes:,} writes reached the source after the flip.", style="red"))
    if written.reverse_pending:
        refused = f"; the source refuses {written.reverse_refused:,} of them" if written.reverse_refused else ""
        lines.append(Text(f"{written.reverse_pending:,} keys are to be written back to the source{refused}."))
    return lines


def _head(seen: Look) -> Lines:
    one = seen.overview
    title = Text.assemble((one.domain, "bold"), f"  {one.phase}  ", _state(one))
    delay = lag(seen)
    title.append("" if delay is None else f"  lag {_lag(delay)}", style="dim")
    lines: Lines = [title, Text(f"stage {one.stage or '?'}, {one.reads_percent:g} % of reads at the target")]
    lines += [Text(f"waiting for {one.waiting_for}", style="cyan")] if one.waiting_for else []
    return lines + ([Text(one.problem, style="red")] if one.problem else [])


def _findings(state: DomainState) -> Lines:
    return [_finding(f.check, f.detail, f.next_step) for f in state.findings if not f.ok]


def _finding(check: str, detail: str, next_step: str) -> Text:
    return Text.assemble(("✗ ", "red"), (f"{check}: ", "bold"), detail, " ", next_step)


def _collections(seen: Look) -> RenderableType:
    table = columns("collection", "copied", "about", "rate", "quarantined")
    quarantined = {name: c.quarantined for name, c in seen.status.state.collections.items()} if seen.status else {}
    for bar in bars(seen):
        rate = f"{bar.per_second:,.0f}/s" if bar.per_second else ""
        refused = f"{quarantined[bar.name]:,}" if bar.name in quarantined else ""
        table.add_row(Text(bar.name), f"{bar.done:,}", f"{bar.total:,}", rate, refused)
    return table


def _archive(report: ArchiveReport) -> Text:
    documents = sum(one.documents for one in report.collections)
    return Text(f"Archive {report.folder}: {documents:,} documents, read back and equal.")


def _how_to_approve(state: DomainState) -> Lines:
    waiting = state.gate
    if waiting is None or not waiting.needs_approval:
        return []
    command = f"midflight approve {state.domain} {waiting.gate} --evidence {waiting.evidence_hash} --reason ..."
    return [Text(f"To open it: {command}", style="cyan")]


def _troubles(seen: Look) -> Lines:
    tried = [work for work in seen.works if work.failure]
    return [Text(f"trying again ({w.attempt}): {w.activity}: {w.failure}", style="yellow") for w in tried]


def _log(state: DomainState) -> Lines:
    if not state.log:
        return []
    said = [f"  {e.at}  {e.person}: {e.what}: {e.message}" for e in state.log[-LOG_LINES:]]
    return [Text(), Text("Said lately", style="bold"), *(Text(line) for line in said)]


def _bar(bar: Bar, now: float) -> ProgressBar:
    unknown = not bar.total and not bar.finished
    return ProgressBar(total=1.0, completed=bar.share, width=40, pulse=unknown, animation_time=now)


def _numbers(bar: Bar) -> Iterable[str]:
    left = bar.seconds_left
    yield f"{bar.share:4.0%}"
    yield f"{bar.done:,} of about {bar.total:,}"
    yield f"{bar.per_second:,.0f}/s" if bar.per_second else ""
    yield "" if left is None or bar.finished else f"{_duration(left)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _counts(counts: Mapping[str, Mapping[str, int]]) -> RenderableType:
    table = columns("collection", "documents", "rows", "quarantined", "tombstones")
    for name, of_one in counts.items():
        cells = (of_one.get(kind, 0) for kind in ("documents", "rows", "quarantined", "tombstones"))
        table.add_row(Text(name), *(f"{cell:,}" for cell in cells))
    return table


def _gates(gates: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = columns("gate", "at", "outcome", "approved by", "evidence", "reason")
    for entry in gates:
        known = entry["details"]
        outcome = entry["kind"].replace("_", " ")
        cells = (
            known.get("gate"),
            entry["at"],
            outcome,
            entry["person"],
            known.get("evidence_hash"),
            known.get("reason"),
        )
        table.add_row(*(Text(str(cell or "")) for cell in cells))
    return table


def _state(one: Overview) -> Text:
    if one.execution in ("running", "completed"):
        return Text(one.state, style=STYLES.get(one.state, ""))
    return Text(f"{one.state} ({one.execution})", style="red")


def _lag(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"
