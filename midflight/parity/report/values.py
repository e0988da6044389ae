"""What a report says of a value: what kind it is; the value itself only where the plan and the asker both allow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from midflight.core.plan import ParityRules
from midflight.parity.forms.normal import MISSING
from midflight.parity.records import FieldDifference, Kind, LevelOutcome, Mismatch, Normal
from midflight.parity.report.wording import counted, printable

REDACTED = "(redacted)"
_LONGEST = 200
_PLAIN = {int: "integer", float: "double", Decimal: "decimal", datetime: "time"}
_TAGS = {
    "array": "array",
    "binary": "binary",
    "bool": "boolean",
    "code": "code",
    "date": "time",
    "maxKey": "the largest key",
    "minKey": "the smallest key",
    "nan": "not a number",
    "object": "document",
    "objectId": "ObjectId",
    "regex": "regular expression",
    "timestamp": "timestamp",
    "unreadable": "unreadable",
}
"""Tags of normal values. What a store of somebody else may put there is not in this list, and not shown."""
_CARRY_VALUES = frozenset(
    {"label", "labels", "source", "target", "value", "values", "rows", "row", "samples", "example"}
)
"""Names under which a level's details carry what customers wrote, unlike counts and names of fields."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is said of one side's value. `value` is None where it is redacted, or where there is none."""

    what: str
    value: str | None = None

    def __str__(self) -> str:
        return self.what if self.value is None else self.value


@dataclass(frozen=True, slots=True)
class Showing:
    """Which values a report may show: none unless asked for, and then only those of fields that the plan lists."""

    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: ParityRules, *, values: bool) -> Showing:
        """What the plan's `parity.show` allows, if values are asked for at all."""
        return cls(rules.show if values else ())

    def allows(self, field: str) -> bool:
        """Whether values of this field, with or without positions in its path, may be shown."""
        name = ".".join(part for part in field.split(".") if part != "*" and not part.isdigit())
        return any(name == listed or name.startswith(f"{listed}.") for listed in self.fields)

    def sides(self, difference: FieldDifference) -> tuple[Shown, Shown]:
        """What is said of both sides of a difference."""
        allowed = self.allows(difference.field)
        return shown(difference.source, allowed=allowed), shown(difference.target, allowed=allowed)

    def details(self, outcome: LevelOutcome) -> dict[str, Any]:
        """A level's details; the labels of an invariant are shown where the plan lists the invariant's name."""
        kept = {name for name in outcome.details if outcome.level == "invariants" and name in self.fields}
        return {
            name: one if name in kept else without_values({name: one})[name] for name, one in outcome.details.items()
        }


def whole(mismatch: Mismatch) -> tuple[Shown, Shown]:
    """What is said of both sides where no field is named: which of them has the key."""
    there, absent = Shown("present"), Shown("missing")
    if mismatch.kind is Kind.MISSING:
        return there, absent
    return (absent, there) if mismatch.kind is Kind.EXTRA else (there, there)


def shown(value: Normal, *, allowed: bool) -> Shown:
    """What is said of one value. Missing, null and empty are said always: they are no values, and most of the news."""
    if value is MISSING:
        return Shown("missing")
    if isinstance(value, tuple) and value[:1] in (("null",), ("empty",)):
        return Shown("null" if value[0] == "null" else "empty")
    return Shown(_kind(value), _text(value) if allowed else None)


def without_values(details: Any) -> Any:
    """A level's details, JSON-ready, with everything redacted that customers may have written."""
    if isinstance(details, Mapping):
        return {
            str(name): _redacted(inner) if name in _CARRY_VALUES else without_values(inner)
            for name, inner in details.items()
        }
    if isinstance(details, list | tuple | set | frozenset):
        return [without_values(inner) for inner in details]
    plain = details is None or isinstance(details, bool | int) or (isinstance(details, float) and isfinite(details))
    return details if plain else str(details)


def _redacted(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else REDACTED


def _kind(value: Normal) -> str:
    if isinstance(value, str):
        return f"text, {counted(len(value), 'character')}"
    if isinstance(value, tuple):
        return _TAGS.get(str(value[0]), "other") if value else "other"
    return next((name for kind, name in _PLAIN.items() if isinstance(value, kind)), "other")


def _text(value: Normal) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(_bare(value))
    text = printable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _bare(value: Normal) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple) and len(value) > 1:
        return value[1] if len(value) == 2 else value[1:]
    return value
