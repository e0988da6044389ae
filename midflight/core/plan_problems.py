"""What is wrong with a plan, gathered before anything is said: an operator wants all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from midflight.errors import PlanError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: its place in the plan (`collections[0].fields[2].type`), what it is, and what to do."""

    place: str
    what: str
    next_step: str = ""


def plan_error(problems: Sequence[Problem], lines: Mapping[str, int] | None = None) -> PlanError:
    """All problems as one error, one line each; `lines` adds the line of the file to places that it knows."""
    told = [_sentence(problem, lines or {}) for problem in problems]
    if len(told) == 1:
        return PlanError(f"The plan cannot be used: {told[0]}")
    return PlanError(f"The plan cannot be used, it has {len(told)} problems:\n" + "\n".join(f"- {t}" for t in told))


def place_of(parts: Iterable[int | str]) -> str:
    """Joins steps into a place: `("collections", 0, "fields")` is `collections[0].fields`."""
    place = ""
    for part in parts:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return place.removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str:
    """A next step that names the known word most like the given one, or all of them where none is near."""
    words = sorted(known)
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{near[0]}`?"
    return f"Use one of: {', '.join(words)}." if words else ""


def _sentence(problem: Problem, lines: Mapping[str, int]) -> str:
    line = _line(problem.place, lines)
    where = f"{problem.place} (line {line})" if problem.place and line else problem.place
    return f"{where}: {problem.what} {problem.next_step}".removeprefix(": ").strip()


def _line(place: str, lines: Mapping[str, int]) -> int | None:
    """The line of the place, or of the nearest part around it (a missing key has no line of its own)."""
    while place and place not in lines:
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return lines.get(place) if place else None
