"""The report as text for a terminal: the verdict first, then what to do next, then what it rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from midflight.parity.records import Cause, EntityCounts, FieldCensus
from midflight.parity.report.advice import ADVICE
from midflight.parity.report.groups import OPEN, Group, Sample, by_cause
from midflight.parity.report.model import Report
from midflight.parity.report.wording import age_label, counted, duration, moment, number, place, printable

_WIDTH = 100
_RUNS = 10
_CENSUS = 40


def render(report: Report) -> str:
    """The whole report, lines of about 100 columns; nothing in it can steer a terminal."""
    sections = (
        _verdict(report),
        _section("What to do next", _numbered([str(step) for step in report.next_steps])),
        _section("Levels", _levels(report)),
        _section("Entities", _entities(report.record.entities)),
        _section("Mismatches by cause", _causes(report)),
        _section("Age of mismatches", _ages(report)),
        _section("Census: fields that not equally many keys of both sides have", _census(report.census)),
        _section("Overlooked by rule", _overlooked(report)),
        _section("Verified by the same code", _wrapped(_names(report.same_code), "  ", "  ")),
        _section("History", _history(report)),
        _closing(report),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _verdict(report: Report) -> Iterator[str]:
    record = report.record
    yield f"{record.verdict.value.upper()}  {printable(record.domain)}, run {printable(record.run)}"
    yield from _wrapped(report.headline)
    ended = "still open" if record.finished_at is None else f"ended {moment(record.finished_at)}"
    yield f"{record.mode} run, began {moment(record.started_at)}, {ended}, {duration(report.seconds)}"
    yield ""


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    content = list(lines)
    if content:
        yield from (title, "-" * len(title), *content, "")


def _numbered(steps: Sequence[str]) -> Iterator[str]:
    for count, step in enumerate(steps, 1):
        yield from _wrapped(step, f"{count:>2}. ", "    ")


def _levels(report: Report) -> list[str]:
    rows = [(one.level, one.verdict.value, "") for one in report.record.levels]
    table = _table(("LEVEL", "VERDICT", ""), rows)
    reasons = ["", *(printable(one.reason) for one in report.record.levels)]
    return [f"{line}  {reason}".rstrip() for line, reason in zip(table, reasons, strict=True)] if rows else []


def _entities(entities: Sequence[EntityCounts]) -> list[str]:
    head = ("ENTITY", "SOURCE", "TARGET", "COMPARED", "EQUAL", "SETTLED", "SUSPECT", "HOT")
    more = ("CLEARED", "SKIPPED", "QUARANTINED")
    return _table((*head, *more), [_entity(one) for one in entities])


def _entity(one: EntityCounts) -> tuple[str, ...]:
    counts = (one.source, one.target, one.compared, one.equal, one.settled, one.suspects, one.hot)
    return (printable(one.entity), *map(number, (*counts, one.cleared, one.skipped, one.quarantined)))


def _causes(report: Report) -> Iterator[str]:
    for cause, groups in by_cause(report.groups):
        yield from _cause(cause, report.causes[cause], groups)


def _cause(cause: Cause, keys: int, groups: tuple[Group, ...]) -> Iterator[str]:
    yield f"{cause}: {counted(keys, 'key')}"
    yield from _wrapped(ADVICE[cause], "  ", "  ")
    for group in groups:
        yield from _group(group)


def _group(group: Group) -> Iterator[str]:
    states = ", ".join(f"{number(group.states[state])} {state}" for state in OPEN if group.states.get(state))
    where = f"{printable(group.entity)}: {place(group.field, group.kind)}"
    kind = f" ({group.kind})" if group.field else ""
    yield from _wrapped(f"{where}{kind}: {counted(group.keys, 'key')} ({states})", "  * ", "    ")
    if group.patterns:
        yield f"    looks like {group.looks}"
    for sample in group.samples:
        yield from _sample(sample, group)


def _sample(sample: Sample, group: Group) -> Iterator[str]:
    path = f" {sample.path}" if sample.path not in ("", group.field) else ""
    sides = f"{sample.source} → {sample.target}"
    seen = f"{sample.state} since {moment(sample.first_seen)}, {counted(sample.rounds, 'look')}"
    yield from _wrapped(f"{sample.key}{path}: {sides}", "      ", "        ")
    yield f"        {seen}"


def _ages(report: Report) -> list[str]:
    rows = [
        (age_label(one.from_seconds, one.to_seconds), *(number(one.states.get(state, 0)) for state in OPEN))
        for one in report.ages
        if any(one.states.values())
    ]
    return _table(("DIFFERS FOR", *(state.upper() for state in OPEN)), rows)


def _census(census: Sequence[FieldCensus]) -> list[str]:
    head = ("ENTITY", "FIELD", "PRESENT: SOURCE", "TARGET", "NULL: SOURCE", "TARGET")
    rows = [(printable(one.entity), printable(one.path), *map(number, _presence(one))) for one in census[:_CENSUS]]
    left = len(census) - len(rows)
    return [*_table(head, rows), *([f"and {counted(left, 'field')} more: see the JSON report"] if left else [])]


def _presence(one: FieldCensus) -> tuple[int, ...]:
    return (one.source_present, one.target_present, one.source_null, one.target_null)


def _overlooked(report: Report) -> Iterator[str]:
    for one in report.overlooked:
        reason = f" ({printable(one.reason)})" if one.reason else ""
        yield from _wrapped(
            f"{printable(one.entity)}, {printable(one.rule)}: {counted(one.uses, 'time')}{reason}", "  ", "    "
        )


def _names(fields: Sequence[str]) -> str:
    return ", ".join(map(printable, fields))


def _history(report: Report) -> list[str]:
    rows = [
        (printable(one.run), moment(one.started_at), one.verdict.value, *map(number, (one.differing, one.undecided)))
        for one in reversed(report.history[-_RUNS:])
    ]
    return _table(("RUN", "BEGAN", "VERDICT", "SETTLED", "UNDECIDED"), rows)


def _closing(report: Report) -> Iterator[str]:
    shown = _names(report.shown_fields)
    yield from _wrapped(f"Values are redacted, except those of: {shown}." if shown else "Values are redacted.")
    yield f"Plan {printable(report.record.plan_fingerprint)}. Made {moment(report.made_at)}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest cell; the first is text, the others are to the right where they are numbers."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    right = [all(row[column][:1].isdigit() and "-" not in row[column] for row in rows) for column in range(len(head))]
    return [_row(row, widths, right) for row in (head, *rows)]


def _row(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(row, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )
