"""Says in plain sentences what Pydantic found wrong with the shape of a plan."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from midflight.core.plan import Plan
from midflight.core.plan_problems import Problem, nearest, place_of

Steps = tuple[int | str, ...]
Told = tuple[str, str]
"""What is wrong, and what to do."""


def shape_problems(error: ValidationError) -> list[Problem]:
    """One problem a place: a value that fits none of several types is reported once, not once a type."""
    problems: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        problem = _problem(details)
        if not _is_echo(details, problem, problems):
            problems.setdefault(problem.place, problem)
    return list(problems.values())


def _is_echo(details: ErrorDetails, problem: Problem, before: Iterable[str]) -> bool:
    """Pydantic calls a list too short when all its entries are bad: the entries have been told already."""
    return details["type"] == "too_short" and any(place.startswith(f"{problem.place}[") for place in before)


def _problem(details: ErrorDetails) -> Problem:
    steps, value = details["loc"], details["input"]
    if details["type"] == "extra_forbidden":
        return Problem(place_of(steps), f"there is no key `{steps[-1]}` here.", _nearest_key(steps))
    if details["type"] == "invalid_key":
        return Problem(place_of(steps[:-1]), f"key `{value}` must be text.", "Put it in quotes.")
    if details["type"] == "missing":
        return Problem(place_of(steps), "this key is required.", "Add it.")
    if steps[-2:-1] == ("value",):
        advice = _quotes(value) or "Give one plain value."
        return Problem(place_of(steps[:-1]), f"a constant cannot be {_seen(value)}.", advice)
    return Problem(place_of(steps), *_TELL.get(details["type"], _other)(value, details))


def _nearest_key(steps: Steps) -> str:
    return nearest(str(steps[-1]), _keys_at(steps[:-1]))


def _keys_at(steps: Steps) -> list[str]:
    """The keys that the plan knows at a place."""
    model: type[BaseModel] = Plan
    for step in steps:
        if isinstance(step, str):
            found = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
            model = _model_in(found.get(step)) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


# --- one sentence a kind of error -----------------------------------------------------------------------------------


def _not_text(value: Any, _: ErrorDetails) -> Told:
    return f"this must be text, but YAML reads {_seen(value)}.", _quotes(value)


def _not_list(value: Any, _: ErrorDetails) -> Told:
    return f"this must be a list, not {_seen(value)}.", "Start each entry with `- `."


def _not_mapping(value: Any, _: ErrorDetails) -> Told:
    return f"this must be a mapping of keys to values, not {_seen(value)}.", "Write `key: value` lines."


def _empty(_: Any, __: ErrorDetails) -> Told:
    return "this must not be empty.", "Add at least one entry."


def _not_a_choice(value: Any, details: ErrorDetails) -> Told:
    expected = str(details["ctx"]["expected"]).replace(" or ", ", ")
    return f"{_seen(value)} is not known here.", nearest(str(value), [w.strip("'") for w in expected.split(", ")])


def _not_a_name(value: str, details: ErrorDetails) -> Told:
    pattern = str(details["ctx"]["pattern"])
    if ":" in pattern:
        return f"`{value}` is not a time of day.", 'Write hours and minutes in UTC, like "22:30".'
    if "_" in pattern and len(value) > 63:
        return f"`{value}` has {len(value)} characters; PostgreSQL allows 63.", "Shorten it."
    rule = "Use lower-case letters, digits and `_`, not starting with a digit."
    if "_" not in pattern:
        rule = "Use up to 41 lower-case letters, digits and `-`, starting with a letter."
    return f"`{value}` is not a usable name.", rule


def _other(value: Any, details: ErrorDetails) -> Told:
    told = details["msg"]
    return f"{told[:1].lower()}{told[1:]}; it is {_seen(value)}.", "Change the value."


_TELL: dict[str, Callable[[Any, ErrorDetails], Told]] = {
    "string_type": _not_text,
    "tuple_type": _not_list,
    "model_type": _not_mapping,
    "literal_error": _not_a_choice,
    "string_pattern_mismatch": _not_a_name,
    "too_short": _empty,
    "string_too_short": _empty,
}

_KINDS: dict[type, str] = {
    int: "the integer",
    float: "the number",
    datetime.date: "the date",
    datetime.datetime: "the time",
}


def _seen(value: Any) -> str:
    """The value in words; a container only by its kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    kind = _KINDS.get(type(value))
    return f"{kind} {value}" if kind else f"`{value}`"


def _quotes(value: Any) -> str:
    if isinstance(value, dict | list):
        return "Give one plain value."
    return "Give it a value." if value is None else "Put it in quotes."
