"""What a plan lets parity overlook in one collection: ignored fields and tolerances."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce

from midflight.core.plan import Ignored, Plan, Tolerance
from midflight.parity.forms.normal import NAN
from midflight.parity.records import Normal

_NUMBERS = (int, float, Decimal)
_POSITION = re.compile(r"(?:^|(?<=\.))\d+(?:\.|$)")
_MOST_KNOWN = 10_000


class Rules:
    """The rules of one collection.

    A rule's field is written as in the plan (`lines.sku`), or with a star for a position or any name
    (`lines.*.sku`, `places.*.zip`), and holds for all that is inside it.
    """

    def __init__(self, ignored: tuple[Ignored, ...] = (), tolerated: tuple[Tolerance, ...] = ()) -> None:
        self.ignored = ignored
        self.tolerated = tolerated
        self._ignored = [(_matcher(rule.field), f"ignore {rule.field}") for rule in ignored]
        self._tolerated = [(_matcher(rule.field), rule) for rule in tolerated]
        self._known: dict[str, tuple[str, Sequence[Tolerance]]] = {}

    @staticmethod
    def of(plan: Plan, collection: str) -> Rules:
        """The plan's rules for this collection."""
        rules = plan.parity
        return Rules(
            tuple(rule for rule in rules.ignore if rule.collection == collection),
            tuple(rule for rule in rules.tolerate if rule.collection == collection),
        )

    def overlooks(self, path: str, source: Normal, target: Normal) -> str:
        """The rule (`ignore legacy`, `nfc name`) by which these two count as equal; empty if there is none."""
        ignored, tolerated = self._for(path)
        if ignored or not tolerated:
            return ignored
        for tolerance in tolerated:
            if _tolerates([tolerance], source, target):
                return _label([tolerance])
        # Text may be in another form and have other blanks behind it.
        return _label(tolerated) if _tolerates(tolerated, source, target) else ""

    def _for(self, path: str) -> tuple[str, Sequence[Tolerance]]:
        known = self._known.get(path)
        if known is None:
            ignored = next((label for matches, label in self._ignored if matches(path)), "")
            known = ignored, [rule for matches, rule in self._tolerated if matches(path)]
            if len(self._known) < _MOST_KNOWN:
                self._known[path] = known
        return known


NO_RULES = Rules()


def _matcher(field: str) -> Callable[[str], bool]:
    r"""Matches paths; a name's own dots are written with a backslash in them, and so are no borders."""
    names = r"\.".join(r"(?:[^.\\]|\\.)*" if name == "*" else re.escape(name) for name in field.split("."))
    fits = re.compile(rf"{names}(?:\..*)?", re.DOTALL).fullmatch
    return lambda path: bool(fits(path) or fits(_POSITION.sub("", path).rstrip(".")))


def _label(rules: Iterable[Tolerance]) -> str:
    return " + ".join(f"{rule.rule} {rule.field}" for rule in rules)


# --- tolerances -----------------------------------------------------------------------------------------------------


def _tolerates(rules: Sequence[Tolerance], source: Normal, target: Normal) -> bool:
    """Whether the two are equal once cleaned by all the rules."""
    cleaners = [_CLEAN[rule.rule] for rule in rules if rule.rule in _CLEAN]
    left = reduce(lambda value, clean: clean(value), cleaners, source)
    right = reduce(lambda value, clean: clean(value), cleaners, target)
    if left == right:
        return True
    return any(rule.rule == "absolute" and _near(left, right, rule.amount) for rule in rules)


def _near(left: Normal, right: Normal, amount: float) -> bool:
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS or NAN in (left, right):
        return False
    low, high = sorted((Decimal(left), Decimal(right)))
    if not (low.is_finite() and high.is_finite()):
        return False
    # As it is written in the plan: 0.1 means a tenth.
    return high - low <= Decimal(repr(amount))


def _nfc(value: Normal) -> Normal:
    return unicodedata.normalize("NFC", value) if type(value) is str else value


def _rtrim(value: Normal) -> Normal:
    return value.rstrip(" ") if type(value) is str else value


def _milliseconds(value: Normal) -> Normal:
    return value.replace(microsecond=value.microsecond // 1000 * 1000) if type(value) is datetime else value


_CLEAN: dict[str, Callable[[Normal], Normal]] = {"nfc": _nfc, "rtrim": _rtrim, "milliseconds": _milliseconds}
