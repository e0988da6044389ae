"""What a range counts beside compared and equal keys. It is kept with the range's place, so that a resume adds on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from midflight.parity.forms.normal import MISSING
from midflight.parity.records import Entry, Normal

FieldTypes = Counter[tuple[str, str]]
"""How often a field (positions as `*`) holds a type of value, by both."""

Drift = Counter[tuple[str, str, str]]
"""How often a field is equal although its type at the source and its type at the target are two, by all three."""

_TYPE_NAMES = {"str": "string", "float": "double", "Decimal": "decimal", "datetime": "date"}


class Tally:
    """Counts of one block, or of one range until now."""

    def __init__(self) -> None:
        self.skipped = 0
        self.quarantined = 0
        self.unproven = 0
        self.by_rule: Counter[str] = Counter()
        self.drift: Drift = Counter()
        self.fields: FieldTypes = Counter()
        self.token: int | None = None
        """The target's last token before the first key of the range was looked at."""

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Tally:
        """What `plain` made."""
        tally = cls()
        tally.skipped, tally.quarantined = plain.get("skipped", 0), plain.get("quarantined", 0)
        tally.unproven = plain.get("unproven", 0)
        tally.by_rule.update(plain.get("by_rule", {}))
        tally.drift.update({(path, was, became): count for path, was, became, count in plain.get("drift", ())})
        for path, types in plain.get("fields", {}).items():
            tally.fields.update({(path, name): count for name, count in types.items()})
        tally.token = plain.get("token")
        return tally

    def plain(self) -> dict[str, Any]:
        """JSON-ready; what is empty is left out."""
        fields: dict[str, dict[str, int]] = {}
        for (path, name), count in self.fields.items():
            fields.setdefault(path, {})[name] = count
        parts = {
            "skipped": self.skipped,
            "quarantined": self.quarantined,
            "unproven": self.unproven,
            "by_rule": dict(self.by_rule),
            "drift": [[*drift, count] for drift, count in self.drift.items()],
            "fields": fields,
        }
        token = {} if self.token is None else {"token": self.token}
        return token | {name: part for name, part in parts.items() if part}

    def add(self, other: Tally) -> None:
        """Count what the other one counted as well; the older token counts."""
        self.skipped += other.skipped
        self.quarantined += other.quarantined
        self.unproven += other.unproven
        self.by_rule.update(other.by_rule)
        self.drift.update(other.drift)
        self.fields.update(other.fields)
        self.token = min((token for token in (self.token, other.token) if token is not None), default=None)

    def note_equal(self, source: Entry, target: Entry, by_rule: Iterable[str], type_drift: Iterable[str]) -> None:
        """Count what was needed for these two to be equal."""
        self.by_rule.update(by_rule)
        for path in type_drift:
            was, became = (type_name(entry.fields.get(path, MISSING)) for entry in (source, target))
            self.drift[field_of(path), was, became] += 1

    def take_census(self, entries: Iterable[Entry]) -> None:
        """Count the fields of these entries and their types."""
        # Most documents of a collection are alike: counting whole shapes costs one look-up a document, not one a field.
        shapes: Counter[tuple[tuple[str, ...], tuple[Any, ...]]] = Counter()
        for entry in entries:
            types = [value[0] if value.__class__ is tuple else value.__class__ for value in entry.fields.values()]
            shapes[tuple(entry.fields), tuple(types)] += 1
        for (paths, kinds), count in shapes.items():
            for path, kind in zip(paths, kinds, strict=True):
                self.fields[field_of(path), _name(kind)] += count


@lru_cache(maxsize=10_000)
def field_of(path: str) -> str:
    """The path without positions of elements, as `FieldDifference.field`."""
    if not any(map(str.isdigit, path)):
        return path
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def type_name(value: Normal) -> str:
    """What the census calls the type of a normal value."""
    return _name(value[0] if value.__class__ is tuple else value.__class__)


def _name(kind: str | type) -> str:
    if isinstance(kind, str):
        return kind
    return _TYPE_NAMES.get(kind.__name__, kind.__name__)
