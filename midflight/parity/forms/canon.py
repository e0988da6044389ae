"""The canonical digest of an entry's fields: the same for equal fields, whatever their order.

Nothing is rendered and joined: every path and value carries its type and its length, so that `x|` beside `y` never
reads like `x` beside `|y`, and null never like a text. Numbers are digested by value: sign, digits, exponent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from midflight.parity.records import Normal

CANON_VERSION = 1
"""Changes with every change of what is digested; digests of another version say nothing."""

_SIZE = 16
_PERSON = f"midflight-{CANON_VERSION}".encode()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def digest(fields: Mapping[str, Normal]) -> bytes:
    """16 bytes; every part carries its type and its length, so that no two different sets of fields run together."""
    parts: list[bytes] = []
    for path in sorted(fields):
        parts.append(_text(path))
        parts.append(encoded(fields[path]))
    return blake2b(b"".join(parts), digest_size=_SIZE, person=_PERSON).digest()


def encoded(value: Normal) -> bytes:
    """One normal value as bytes: a tag, the length, the value. TypeError for what is no normal value."""
    make = _ENCODED.get(type(value))
    if make is None:
        raise TypeError(f"{type(value).__name__} is no normal value")
    return make(value)


def _tagged(tag: bytes, data: bytes) -> bytes:
    return b"%c%d:%b" % (tag, len(data), data)


def _text(value: str) -> bytes:
    # A lone surrogate has no UTF-8; it must not stop a run.
    return _tagged(b"s", value.encode("utf-8", "surrogatepass"))


def _integer(value: int) -> bytes:
    digits = str(abs(value))
    kept = digits.rstrip("0")
    return _number(value < 0, kept, len(digits) - len(kept))


def _float(value: float) -> bytes:
    return _decimal(Decimal(value))


def _decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return _tagged(b"i", b"-" if sign else b"+")
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    return _number(bool(sign), kept, exponent + len(text) - len(kept))


def _number(negative: bool, digits: str, exponent: int) -> bytes:
    """Without zeros at either end, so that equal numbers are equal bytes; zero has no digits, sign or exponent."""
    text = f"{'-' if negative else '+'}{digits}e{exponent}" if digits else ""
    return _tagged(b"n", text.encode())


def _instant(value: datetime) -> bytes:
    return _tagged(b"t", b"%d" % ((value - _EPOCH) // _MICROSECOND))


def _tuple(value: tuple[Any, ...]) -> bytes:
    return _tagged(b"(", b"".join(map(encoded, value)))


_ENCODED: dict[type, Callable[[Any], bytes]] = {
    str: _text,
    int: _integer,
    float: _float,
    Decimal: _decimal,
    datetime: _instant,
    tuple: _tuple,
    bool: lambda value: _tagged(b"b", b"1" if value else b"0"),
    bytes: lambda value: _tagged(b"x", value),
    type(None): lambda _: _tagged(b"-", b""),
}
