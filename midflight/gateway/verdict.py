"""What a comparison of two answers comes to. An error of the team's hooks is raised, for the caller to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from midflight.core.routing import Side
from midflight.gateway.compare import VALUE, WHOLE, Comparator, Difference, differences, plain
from midflight.gateway.observing import Outcome

ERROR = "(error)"


class Kind(Enum):
    """How two answers stand to one another."""

    EQUAL = auto()
    IGNORED = auto()
    DIFFERENT = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """One side's answer, free of ties to what the caller got: a cleaned plain value, or the name of an error."""

    value: Any
    failed: bool

    def shown(self) -> object:
        """As it is published, where a team asked for values."""
        return f"raised {self.value}" if self.failed else self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """How two answers stand to one another, and where they differ."""

    kind: Kind
    differences: tuple[Difference, ...] = ()
    source: Answer | None = None
    target: Answer | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths of the first few fields that differ."""
        return tuple(one.field for one in self.differences)

    @property
    def causes(self) -> tuple[str, ...]:
        """`field: cause`, each once; elements of a sequence count together, whatever their place."""
        return tuple(dict.fromkeys(f"{_without_places(one.field)}: {one.cause}" for one in self.differences))

    def sides(self) -> dict[str, object]:
        """Both answers as they are published."""
        known = {Side.SOURCE: self.source, Side.TARGET: self.target}
        return {side.value: answer.shown() for side, answer in known.items() if answer is not None}


def answer_of(comparator: Comparator[Any], outcome: Outcome) -> Answer:
    """The answer in an outcome, copied."""
    if outcome.error is not None:
        return Answer(comparator.error_name(outcome.error), failed=True)
    return Answer(plain(comparator.clean(outcome.value)), failed=False)


def judge(comparator: Comparator[Any], answers: Mapping[Side, Answer]) -> Verdict:
    """Compare the two sides' answers."""
    source, target = answers[Side.SOURCE], answers[Side.TARGET]
    if source.failed or target.failed:
        found = _errors(source, target)
    elif comparator.equal(source.value, target.value):
        found = ()
    elif comparator.ignore(source.value, target.value):
        return Verdict(Kind.IGNORED)
    else:
        # A team's own `equal` may see a difference that the structure does not show.
        found = differences(source.value, target.value) or (Difference(WHOLE, VALUE),)
    return Verdict(Kind.DIFFERENT, found, source, target) if found else Verdict(Kind.EQUAL)


def _errors(source: Answer, target: Answer) -> tuple[Difference, ...]:
    if source.failed != target.failed:
        return (Difference(ERROR, f"error at {Side.SOURCE if source.failed else Side.TARGET} only"),)
    return () if source.value == target.value else (Difference(ERROR, "different error"),)


def _without_places(path: str) -> str:
    return ".".join("*" if part.isdecimal() else part for part in path.split("."))
