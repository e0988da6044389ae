"""How a report writes numbers, times and names, so that all formats say the same."""

from __future__ import annotations

from datetime import UTC, datetime

from bson.errors import BSONError

from midflight.core.keys import key_text
from midflight.parity.records import Kind

WHOLE_KEY = {Kind.MISSING: "the whole key is missing", Kind.EXTRA: "the whole key is extra"}
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def number(count: int) -> str:
    """1234567 -> 1,234,567."""
    return f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """1 key, 2 keys."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def moment(at: datetime | None) -> str:
    """To the second, in UTC."""
    return "not yet" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """4.2 s, 3 min 5 s, 2 h 10 min, 1 d 3 h."""
    whole = int(seconds)
    for place, (size, unit) in enumerate(_STEPS):
        if whole >= size:
            smaller, below = _STEPS[place + 1] if place + 1 < len(_STEPS) else (1, "s")
            return f"{whole // size} {unit} {whole % size // smaller} {below}"
    return f"{max(seconds, 0.0):.1f} s"


def printable(text: str) -> str:
    """The text with everything invisible spelled out: no key and no name can steer a terminal or hide a letter."""
    return text if text.isprintable() else "".join(one if one.isprintable() else _spelled(one) for one in text)


def key_shown(key: bytes) -> str:
    """A key for people: what it decodes to, else its text, else its bytes in hexadecimal."""
    try:
        return printable(key_text(key))
    except (BSONError, ValueError, KeyError, IndexError):
        pass
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return "0x" + key.hex()
    return text if text and text.isprintable() else "0x" + key.hex()


def place(field: str, kind: Kind) -> str:
    """Where a group differs: its field, or that it is the key as a whole."""
    return printable(field) if field else WHOLE_KEY.get(kind, "the whole key")


def age_label(lower: float, upper: float | None) -> str:
    """The name of an age: under 10 s, 1 to 10 min, over 1 d."""
    if upper is None:
        return "over " + _in_unit_of(lower, lower)
    return f"{lower / _size(lower):g} to {_in_unit_of(upper, lower)}" if lower else "under " + _in_unit_of(upper, upper)


def _in_unit_of(seconds: float, other: float) -> str:
    size = _size(other)
    return f"{seconds / size:g} {dict(_STEPS).get(size, 's')}"


def _size(seconds: float) -> int:
    return next((size for size, _ in _STEPS if seconds >= size), 1)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
