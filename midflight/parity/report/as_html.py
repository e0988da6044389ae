"""The report as one HTML page that opens anywhere: no script, no link to the outside, style and charts inside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from midflight.parity.records import Cause, EntityCounts, FieldCensus, LevelOutcome, Verdict
from midflight.parity.report import style
from midflight.parity.report.advice import ADVICE, Step
from midflight.parity.report.figures import figures
from midflight.parity.report.groups import OPEN, Group, Sample, by_cause
from midflight.parity.report.markup import Markup, Node, join, page, tag
from midflight.parity.report.markup import style as style_element
from midflight.parity.report.model import Report
from midflight.parity.report.tables import Cell, Number, table, verdict_mark
from midflight.parity.report.wording import counted, duration, moment, number, place

_SECTIONS = {
    "next": "What to do next",
    "charts": "At a glance",
    "mismatches": "Mismatches by cause",
    "levels": "Levels",
    "entities": "Entities",
    "census": "Census",
    "overlooked": "Overlooked by rule",
    "same-code": "Verified by the same code",
}


def render(report: Report) -> str:
    """The whole page."""
    made = {name: _SECTIONS_MADE[name](report) for name in _SECTIONS}
    present = {name: content for name, content in made.items() if content}
    sections = [_section(name, content) for name, content in present.items()]
    skip = tag("a", "To the mismatches", href="#mismatches", class_="skip") if "mismatches" in present else None
    return page(_head(report), tag("body", skip, _header(report, present), tag("main", sections), _footer(report)))


def _head(report: Report) -> Markup:
    record = report.record
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=style.POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{record.verdict.upper()}: {record.domain}, run {record.run}"),
        style_element(style.CSS),
    )


def _header(report: Report, sections: Mapping[str, Node]) -> Markup:
    record = report.record
    links = [tag("li", tag("a", _SECTIONS[name], href=f"#{name}")) for name in sections]
    return tag(
        "header",
        tag("p", f"Parity of {record.domain}, run {record.run}", class_="name"),
        tag("h1", verdict_mark(record.verdict), record.verdict.capitalize()),
        tag("p", report.headline, class_="headline"),
        tag("dl", [tag("div", tag("dt", name), tag("dd", said)) for name, said in _facts(report)], class_="facts"),
        tag("nav", tag("ul", links), aria_label="Sections"),
        class_=f"is-{record.verdict}",
    )


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    record = report.record
    yield "Kind of run", record.mode
    yield "Began", moment(record.started_at)
    yield "Ended", moment(record.finished_at)
    yield "Took" if record.finished_at else "Takes so far", duration(report.seconds)
    yield "Keys compared", number(sum(one.compared for one in record.entities))
    yield from ((f"{state.capitalize()} keys", number(report.states.get(state, 0))) for state in OPEN)


def _section(name: str, content: Node) -> Markup:
    return tag("section", tag("h2", _SECTIONS[name], id=name), content, aria_labelledby=name)


def _next(report: Report) -> Markup:
    return tag("div", tag("ol", [tag("li", _step(one)) for one in report.next_steps]), class_="card steps")


def _step(step: Step) -> Node:
    if not step.about:
        return step.what
    about = tag("a", step.about, href=f"#{_anchor(step.cause)}") if step.cause else step.about
    return [tag("b", about), ": ", step.what]


def _anchor(cause: Cause) -> str:
    return "cause-" + cause.replace(" ", "-")


def _charts(report: Report) -> Markup:
    return tag("div", list(figures(report)), class_="charts")


def _mismatches(report: Report) -> Node:
    causes = by_cause(report.groups)
    return [_cause(cause, report.causes[cause], groups) for cause, groups in causes]


def _cause(cause: Cause, keys: int, groups: tuple[Group, ...]) -> Markup:
    title = tag(
        "header", tag("h3", cause.capitalize(), id=_anchor(cause)), tag("span", counted(keys, "key"), class_="soft")
    )
    return tag("article", title, tag("p", ADVICE[cause]), [_group(one) for one in groups], class_="card cause")


def _group(group: Group) -> Markup:
    states = ", ".join(f"{number(group.states[state])} {state}" for state in OPEN if group.states.get(state))
    where = f"{group.entity}: {place(group.field, group.kind)}"
    said = f" {group.kind}, {counted(group.keys, 'key')} ({states})"
    if group.differences != group.keys:
        said += f", {counted(group.differences, 'difference')}"
    if group.patterns:
        said += f", looks like {group.looks}"
    head = ("Key", "Where", "Source", "Target", "State", "First seen", "Looks")
    samples = table(f"Samples of {where}", head, [_sample(one) for one in group.samples])
    return tag("details", tag("summary", where, tag("span", said, class_="soft")), samples, class_="group", open=True)


def _sample(one: Sample) -> tuple[Cell, ...]:
    return (
        tag("code", one.key),
        tag("code", one.path) if one.path else "whole key",
        tag("code", str(one.source)),
        tag("code", str(one.target)),
        one.state.value,
        moment(one.first_seen),
        Number(one.rounds),
    )


def _levels(report: Report) -> Node:
    rows = [_level(one, report) for one in report.record.levels]
    return tag("div", table("", ("Level", "Verdict", "Why", "Details"), rows), class_="card") if rows else None


def _level(outcome: LevelOutcome, report: Report) -> tuple[Cell, ...]:
    details = report.details[outcome.level]
    folded = tag("details", tag("summary", f"Details of {outcome.level}"), tag("pre", _pretty(details)))
    return outcome.level, _verdict(outcome.verdict), outcome.reason, folded if details else ""


def _pretty(details: object) -> Node:
    lines = json.dumps(details, indent=2, ensure_ascii=False).split("\n")
    return [join(line, tag("br")) for line in lines]


def _verdict(verdict: Verdict) -> Markup:
    return tag("span", verdict_mark(verdict), verdict.value, class_="verdict")


def _entities(report: Report) -> Node:
    head = ("Entity", "Source", "Target", "Compared", "Equal", "Settled", "Suspects", "Hot", "Cleared", "Repaired")
    rows = [_entity(one) for one in report.record.entities]
    titled = table("Keys, by entity", (*head, "Skipped", "In quarantine"), rows)
    return tag("div", titled, class_="card") if rows else None


def _entity(one: EntityCounts) -> tuple[Cell, ...]:
    counts = (one.source, one.target, one.compared, one.equal, one.settled, one.suspects, one.hot, one.cleared)
    return (one.entity, *map(Number, (*counts, one.repaired, one.skipped, one.quarantined)))


def _census(report: Report) -> Node:
    head = ("Entity", "Field", "At the source", "At the target", "Null at the source", "Null at the target", "Types")
    rows = [_field(one) for one in report.census]
    return (
        tag(
            "div",
            table("Fields that not equally many keys of both sides have, or not of the same types", head, rows),
            class_="card",
        )
        if rows
        else None
    )


def _field(one: FieldCensus) -> tuple[Cell, ...]:
    counts = (one.source_present, one.target_present, one.source_null, one.target_null)
    types = f"{_types(one.source_types)} → {_types(one.target_types)}"
    return (one.entity, tag("code", one.path), *map(Number, counts), types)


def _types(types: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number(count)}" for name, count in types.items()) or "none"


def _overlooked(report: Report) -> Node:
    rows = [(one.entity, one.rule, Number(one.uses), one.reason) for one in report.overlooked]
    said = "How often a declared rule made two values equal that are not the same"
    return tag("div", table(said, ("Entity", "Rule", "Times", "Reason"), rows), class_="card") if rows else None


def _same_code(report: Report) -> Node:
    if not report.same_code:
        return None
    said = "A transform of the plan gives these fields back. A mistake in its code shows on neither side."
    return tag(
        "div", tag("p", said), tag("ul", [tag("li", tag("code", one)) for one in report.same_code]), class_="card"
    )


def _footer(report: Report) -> Markup:
    shown = ", ".join(report.shown_fields)
    values = f"Values are redacted, except those of: {shown}." if shown else "Values are redacted."
    made = f"Made {moment(report.made_at)}, plan {report.record.plan_fingerprint}."
    return tag("footer", tag("p", values), tag("p", made))


_SECTIONS_MADE = {
    "next": _next,
    "charts": _charts,
    "mismatches": _mismatches,
    "levels": _levels,
    "entities": _entities,
    "census": _census,
    "overlooked": _overlooked,
    "same-code": _same_code,
}
