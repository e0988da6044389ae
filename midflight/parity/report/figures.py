"""Each chart with its title, its legend, and the table that says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from midflight.parity.report import charts
from midflight.parity.report.groups import OPEN
from midflight.parity.report.markup import Markup, Node, tag
from midflight.parity.report.model import Past, Report
from midflight.parity.report.tables import Cell, Number, table, verdict_mark
from midflight.parity.report.wording import age_label, duration, moment, number

_PARTS = {
    "equal": "equal",
    "skipped": "still equal, skipped",
    "settled": "settled",
    "hot": "hot",
    "suspect": "suspect",
    "quarantined": "in quarantine",
    "repaired": "repaired",
}


def figures(report: Report) -> Iterator[Markup]:
    """The charts that have something to show."""
    if report.record.entities:
        yield _progress(report)
    if report.groups:
        yield _matrix(report)
        yield _ages(report)
    yield _history(report)


def _figure(title: str, said: str, drawing: Node, rest: Sequence[Node]) -> Markup:
    caption = tag("figcaption", tag("b", title), said)
    return tag("figure", caption, tag("div", drawing, class_="draw"), *rest, class_="card")


def _behind(caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Markup:
    return tag("details", tag("summary", f"{caption}, as a table"), table(caption, head, rows))


def _legend(names: Sequence[tuple[str, str]]) -> Markup:
    items = [tag("li", _swatch(look), said) for look, said in names]
    return tag("ul", items, class_="legend")


def _swatch(look: str) -> Markup:
    square = tag("rect", x=1, y=1, width=14, height=14, class_=look)
    return tag("svg", square, viewBox="0 0 16 16", aria_hidden="true")


def _progress(report: Report) -> Markup:
    entities, walked = report.record.entities, report.walked
    used = {name for one in entities for name, count in charts.parts(one) if count}
    legend = _legend([(f"s-{name}", said) for name, said in _PARTS.items() if name in used])
    rows: list[tuple[Cell, ...]] = []
    for one in entities:
        found = dict(charts.parts(one))
        counts = [Number(found[name]) for name in _PARTS]
        rows.append((one.entity, charts.percent(walked.get(one.entity, 1.0)), *counts))
    behind = _behind("Progress by entity", ("Entity", "Ranges walked", *_PARTS.values()), rows)
    said = "What the keys came to, and how much of the ranges was walked; grey is still to come."
    return _figure("Progress by entity", said, charts.progress(entities, walked), (legend, behind))


def _matrix(report: Report) -> Markup:
    rows = [(charts.name_of(one), one.cause.value, one.kind.value, Number(one.keys)) for one in report.groups]
    behind = _behind("Mismatches by field and cause", ("Field", "Cause", "Kind", "Keys"), rows)
    said = "Keys that differ now. A key that differs in two fields is counted in both."
    return _figure("Mismatches by field and cause", said, charts.matrix(report.groups), (behind,))


def _ages(report: Report) -> Markup:
    rows: list[tuple[Cell, ...]] = [
        (age_label(one.from_seconds, one.to_seconds), *(Number(one.states.get(state, 0)) for state in OPEN))
        for one in report.ages
    ]
    behind = _behind("Age of mismatches", ("Differs for", *(state.capitalize() for state in OPEN)), rows)
    legend = _legend([(f"s-{state}", state.value) for state in OPEN if report.states.get(state)])
    said = "How long keys have differed, without a change on either side."
    return _figure("Age of mismatches", said, charts.ages(report.ages), (legend, behind))


def _history(report: Report) -> Markup:
    rows = [_run(one) for one in reversed(report.history)]
    head = ("Run", "Began", "Took", "Verdict", "Compared", "Settled", "Undecided")
    behind = _behind("History of runs", head, rows)
    verdicts = dict.fromkeys(one.verdict for one in report.history)
    signs = [tag("li", verdict_mark(one), f"verdict: {one}") for one in verdicts]
    columns = [_swatch("s-settled"), "settled keys"], [_swatch("s-hot"), "undecided keys"]
    legend = tag("ul", [tag("li", one) for one in columns], signs, class_="legend")
    said = f"Keys that differed in the last {number(len(rows))} runs, this one at the right."
    if len(rows) == 1:
        said = "This is the first run."
    return _figure("History of runs", said, charts.history(report.history), (legend, behind))


def _run(one: Past) -> tuple[Cell, ...]:
    took = "open" if one.seconds is None else duration(one.seconds)
    counts = map(Number, (one.compared, one.differing, one.undecided))
    return (one.run, moment(one.started_at), took, one.verdict.value, *counts)
