"""The report's charts as inline SVG. Colour is never alone: shapes, numbers and titles say the same, tables say all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10

from midflight.parity.records import EntityCounts, State, Verdict
from midflight.parity.report.groups import OPEN, Group
from midflight.parity.report.markup import Markup, Node, join, tag
from midflight.parity.report.model import Age, Past
from midflight.parity.report.wording import age_label, counted, moment, number

WIDTH = 520.0
ROWS = 16
"""How many rows a chart draws; all others are in its table."""
_LABEL = 150.0
_LEAST = 2.0
_SHADES = 5
_TOP = 22.0
_BASE = 150.0


def progress(entities: Sequence[EntityCounts], walked: Mapping[str, float]) -> Markup:
    """One bar an entity: what its keys came to; the rest of the bar was not looked at. `walked` are shares up to 1."""
    rows = entities[:ROWS]
    drawn = [_progress_row(one, 30.0 * place, walked.get(one.entity, 1.0)) for place, one in enumerate(rows)]
    return _svg("Progress by entity", 30.0 * len(rows), drawn)


def parts(one: EntityCounts) -> tuple[tuple[str, int], ...]:
    """What the keys of an entity came to, by class of colour; together all that was looked at."""
    return (
        ("settled", one.settled),
        ("hot", one.hot),
        ("suspect", one.suspects),
        ("quarantined", one.quarantined),
        ("repaired", one.repaired),
        ("equal", one.equal),
        ("skipped", one.skipped),
    )


def _progress_row(one: EntityCounts, top: float, part: float) -> Markup:
    room = WIDTH - _LABEL - 52
    looked_at = sum(count for _, count in parts(one)) or 1
    bars: list[Markup] = []
    left = _LABEL
    for name, count in parts(one):
        width = max(room * part * count / looked_at, _LEAST) if count else 0.0
        width = min(width, _LABEL + room - left)
        if count:
            bars.append(_rect((left, top + 6, width, 16), f"s-{name}", f"{one.entity}: {counted(count, 'key')} {name}"))
        left += width
    return join(
        _label(one.entity, _LABEL - 10, top + 18),
        tag("rect", x=_LABEL, y=top + 6, width=room, height=16.0, class_="track"),
        bars,
        _words(percent(part), WIDTH - 46, top + 18),
    )


def percent(part: float) -> str:
    """Never rounded up to 100 %."""
    return f"{int(part * 1000) / 10:g} %"


def matrix(groups: Sequence[Group]) -> Markup:
    """Fields down, causes across; the darker the more keys."""
    fields, causes = _axes(groups)
    cells: dict[tuple[str, str], int] = {}
    for group in groups:
        at = (name_of(group), group.cause.value)
        cells[at] = cells.get(at, 0) + group.keys
    fields = fields[:ROWS]
    wide = min((WIDTH - 190 - 44) / max(len(causes), 1), 64.0)
    most = max(cells.values(), default=1)
    head = [_slanted(cause, 190 + wide * (place + 0.5), 74) for place, cause in enumerate(causes)]
    drawn = [
        _cell((190 + wide * causes.index(cause), 82 + 26.0 * fields.index(field), wide), (field, cause), count, most)
        for (field, cause), count in cells.items()
        if field in fields
    ]
    labels = [_label(field, 180, 99 + 26.0 * place, 28) for place, field in enumerate(fields)]
    return _svg("Mismatches by field and cause", 84 + 26.0 * len(fields), [*head, *labels, *drawn])


def name_of(group: Group) -> str:
    """What a group is called in the matrix."""
    return f"{group.entity}.{group.field}" if group.field else f"{group.entity} (whole key)"


def _axes(groups: Sequence[Group]) -> tuple[list[str], list[str]]:
    fields: dict[str, int] = {}
    for group in groups:
        fields[name_of(group)] = fields.get(name_of(group), 0) + group.keys
    return sorted(fields, key=lambda one: (-fields[one], one)), list(dict.fromkeys(one.cause.value for one in groups))


def _cell(box: tuple[float, float, float], at: tuple[str, str], count: int, most: int) -> Markup:
    left, top, wide = box
    shade = 1 + round((_SHADES - 1) * (log10(count) / log10(most) if most > 1 else 1.0))
    said = f"{at[0]}, {at[1]}: {counted(count, 'key')}"
    rect = _rect((left + 1, top + 1, wide - 2, 24), f"heat-{shade}", said)
    return join(rect, _words(short(count), left + wide / 2, top + 17, "middle", f"on-heat-{shade}"))


def ages(rows: Sequence[Age]) -> Markup:
    """One column an age, settled at the bottom."""
    wide = WIDTH / len(rows)
    most = max((sum(one.states.values()) for one in rows), default=0)
    drawn = [_age(one, wide * place, wide, most) for place, one in enumerate(rows)]
    return _svg("Age of mismatches", _BASE + 24, [*drawn, _ground()])


def _age(one: Age, left: float, wide: float, most: int) -> Markup:
    label = age_label(one.from_seconds, one.to_seconds)
    bars, top = _stack([(state, one.states.get(state, 0)) for state in OPEN], (left + wide * 0.2, wide * 0.6), most)
    total = sum(one.states.values())
    above = _words(short(total), left + wide / 2, top - 5, "middle") if total else None
    titled = [_rect(box, f"s-{state}", f"{label}: {counted(count, 'key')} {state}") for state, count, box in bars]
    return join(titled, above, _words(label, left + wide / 2, _BASE + 16, "middle", "soft"))


def history(runs: Sequence[Past]) -> Markup:
    """One column a run, oldest to the left, with its verdict's sign beneath."""
    wide = min(WIDTH / max(len(runs), 1), 60.0)
    most = max((one.differing + one.undecided for one in runs), default=0)
    drawn = [_run(one, wide * place, wide, most) for place, one in enumerate(runs)]
    return _svg("History of runs", _BASE + 26, [*drawn, _ground()])


def _run(one: Past, left: float, wide: float, most: int) -> Markup:
    counts = [(State.SETTLED, one.differing), (State.HOT, one.undecided)]
    bars, top = _stack(counts, (left + wide * 0.2, wide * 0.6), most)
    total = one.differing + one.undecided
    said = f"{one.run}, {moment(one.started_at)}: {one.verdict}, {number(one.differing)} settled, "
    said += f"{number(one.undecided)} undecided"
    above = _words(short(total), left + wide / 2, top - 5, "middle") if total and wide > 30 else None
    titled = [_rect(box, f"s-{state}", said) for state, _, box in bars]
    return tag("g", tag("title", said), titled, above, sign(one.verdict, left + wide / 2, _BASE + 14, 5.0))


Box = tuple[float, float, float, float]


def _stack(
    counts: Sequence[tuple[State, int]], across: tuple[float, float], most: int
) -> tuple[list[tuple[State, int, Box]], float]:
    """Boxes on top of one another, and where the uppermost ends."""
    bottom = _BASE
    boxes: list[tuple[State, int, Box]] = []
    for state, count in counts:
        if count:
            height = max((_BASE - _TOP) * count / max(most, 1), _LEAST)
            bottom -= height
            boxes.append((state, count, (across[0], bottom, across[1], height)))
    return boxes, bottom


def sign(verdict: Verdict, x: float, y: float, size: float) -> Markup:
    """A verdict's shape: disc, square, diamond, dash."""
    look = f"v-{verdict}"
    if verdict is Verdict.PASS:
        return tag("circle", cx=x, cy=y, r=size, class_=look)
    if verdict is Verdict.UNDECIDED:
        corners = f"{x},{y - size * 1.2} {x + size * 1.2},{y} {x},{y + size * 1.2} {x - size * 1.2},{y}"
        return tag("polygon", points=corners, class_=look)
    high = size if verdict is Verdict.FAIL else size / 3
    return tag("rect", x=x - size, y=y - high, width=size * 2, height=high * 2, class_=look)


def short(count: int) -> str:
    """1234 -> 1.2k: where there is room for a few letters only."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{int(count / size * 10) / 10:g}{unit}"
    return str(count)


def _svg(title: str, height: float, drawn: Node) -> Markup:
    box = f"0 0 {WIDTH:g} {height:g}"
    return tag("svg", tag("title", title), drawn, viewBox=box, role="img", aria_label=title, class_="chart")


def _ground() -> Markup:
    return tag("line", x1=0.0, x2=WIDTH, y1=_BASE, y2=_BASE, class_="ground")


def _rect(box: Box, look: str, title: str) -> Markup:
    left, top, width, height = box
    return tag("rect", tag("title", title), x=left, y=top, width=width, height=height, class_=look)


def _words(text: str, x: float, y: float, anchor: str = "start", look: str = "") -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=look or None)


def _label(text: str, x: float, y: float, longest: int = 22) -> Markup:
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return tag("text", tag("title", text), cut, x=x, y=y, text_anchor="end")


def _slanted(text: str, x: float, y: float) -> Markup:
    return tag("text", text, x=x, y=y, transform=f"rotate(-35 {x:g} {y:g})", class_="soft")
