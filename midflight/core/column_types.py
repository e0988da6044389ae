"""The column types a plan may use, and what PostgreSQL calls them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from midflight.errors import PlanError

NAMES: tuple[str, ...] = (
    "text",
    "varchar",
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "double precision",
    "timestamptz",
    "date",
    "uuid",
    "bytea",
    "jsonb",
    "objectid",
    "any",
)

TIMES = frozenset({"timestamptz", "date"})
"""Their columns may hold what Python has no time for (infinity, years before 1 or after 9999): such a cell is a str."""

_POSTGRES = {"objectid": "text", "any": "text"}
_OTHER_NAMES = {
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "long": "bigint",
    "bool": "boolean",
    "string": "text",
    "char": "varchar(n)",
    "decimal": "numeric",
    "float": "double precision",
    "double": "double precision",
    "real": "double precision",
    "timestamp": "timestamptz",
    "datetime": "timestamptz",
    "json": "jsonb",
    "object": "jsonb",
    "binary": "bytea",
    "oid": "objectid",
}
_SHAPE = re.compile(r"([a-z0-9]+(?: [a-z]+)?)(?:\((\d{1,9})(?:, ?(\d{1,9}))?\))?")
_LONGEST_VARCHAR = 10_485_760
_MOST_DIGITS = 1_000


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type of a plan: its name, the DDL text for PostgreSQL, and the numbers in brackets."""

    name: str
    postgres: str
    arguments: tuple[int, ...] = ()


@cache
def parse_type(text: str) -> ColumnType:
    """The type that the plan's text names. PlanError, with the nearest right type, if there is none."""
    shape = _SHAPE.fullmatch(text)
    name = shape[1] if shape else text
    if shape is None or name not in NAMES:
        raise PlanError(f"{text!r} is not a column type.", next_step=_advice(text))
    arguments = tuple(int(n) for n in shape.groups()[1:] if n is not None)
    if not _ACCEPTS.get(name, _no_arguments)(arguments):
        raise PlanError(f"{text!r} is not a column type.", next_step=_argument_advice(name))
    return ColumnType(name, _POSTGRES.get(name, text), arguments)


def _no_arguments(arguments: tuple[int, ...]) -> bool:
    return not arguments


def _length(arguments: tuple[int, ...]) -> bool:
    return len(arguments) == 1 and 1 <= arguments[0] <= _LONGEST_VARCHAR


def _digits(arguments: tuple[int, ...]) -> bool:
    if not arguments:
        return True
    return len(arguments) == 2 and 1 <= arguments[0] <= _MOST_DIGITS and arguments[1] <= arguments[0]


_ACCEPTS: dict[str, Callable[[tuple[int, ...]], bool]] = {"varchar": _length, "numeric": _digits}


def _advice(text: str) -> str:
    word = re.split(r"[ (]", text.strip().lower(), maxsplit=1)[0]
    near = _OTHER_NAMES.get(word) or next(iter(get_close_matches(word, NAMES, n=1, cutoff=0.5)), None)
    if near:
        return f"Did you mean `{near}`?"
    return f"Use one of: {', '.join(NAMES)}."


def _argument_advice(name: str) -> str:
    if name == "varchar":
        return f"Write `varchar(n)` with n from 1 to {_LONGEST_VARCHAR}."
    if name == "numeric":
        return f"Write `numeric`, or `numeric(p,s)` with p from 1 to {_MOST_DIGITS} and s from 0 to p."
    return f"`{name}` takes no numbers in brackets."
