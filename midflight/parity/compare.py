"""Where two entries differ, field by field."""

from __future__ import annotations

from dataclasses import dataclass

from midflight.parity.records import Entry, FieldDifference
from midflight.parity.rules import Rules


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs; which rules were needed; which fields are equal by value only (5 and 5.0), by path."""

    differences: tuple[FieldDifference, ...] = ()
    by_rule: tuple[str, ...] = ()
    type_drift: tuple[str, ...] = ()


def compare(source: Entry, target: Entry, rules: Rules) -> Compared:
    """Compare two entries of one key.

    An entry that cannot be read gives one difference of kind `unreadable`, with the path `.`.
    """
    raise NotImplementedError
