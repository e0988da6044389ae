"""Decodes BSON literally, element by element, for the few documents that the driver's decoder would change.

The driver turns deprecated types into others, lets the last of two equal names win, and makes a DBRef of every
sub-document with `$ref` and `$id`, with an order of its own. Here each name is kept once, sub-documents stay
sub-documents, and whatever could not be written back identically raises `Unkept` that says where and why.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from midflight.core.values import InvalidBSON, decode, encode

_DOCUMENT, _ARRAY = 0x03, 0x04
_STRING, _BINARY, _REGEX, _POINTER, _SCOPED = 0x02, 0x05, 0x0B, 0x0C, 0x0F
_DEPRECATED = {0x06: "undefined", 0x0C: "dbPointer", 0x0E: "symbol"}
_NAMES = {
    0x01: "double",
    0x02: "string",
    0x03: "object",
    0x04: "array",
    0x05: "binData",
    0x07: "objectId",
    0x08: "bool",
    0x09: "date",
    0x0A: "null",
    0x0B: "regex",
    0x0D: "javascript",
    0x0F: "javascriptWithScope",
    0x10: "int",
    0x11: "timestamp",
    0x12: "long",
    0x13: "decimal",
    0x7F: "maxKey",
    0xFF: "minKey",
    **_DEPRECATED,
}
_SIZES = {
    0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0,
}  # fmt: skip
_COUNTED = {0x02: 4, 0x0D: 4, 0x0E: 4, 0x05: 5, 0x0C: 16, 0x03: 0, 0x04: 0, 0x0F: 0}
"""Bytes beyond the length that such a value begins with."""


class Unkept(Exception):
    """A value that would not be written back as it was read."""

    def __init__(self, field: str, value_type: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.value_type = value_type
        self.reason = reason


def literal(raw: bytes, path: str = "") -> dict[str, Any]:
    """The document, sub-documents as plain dicts in their own order. Unkept names the first value it cannot keep."""
    body: dict[str, Any] = {}
    for name, code, value in _elements(raw, path):
        at = f"{path}{name}"
        if name in body:
            raise Unkept(at, _NAMES[code], "the document has this field twice")
        body[name] = _value(code, value, at)
    return body


def first_element(raw: bytes, name: str) -> bytes | None:
    """The named element's type byte, an empty name, and the value; None if the document does not have it."""
    for found, code, value in _elements(raw, ""):
        if found == name:
            return bytes((code, 0)) + value
    return None


def _value(code: int, value: bytes, at: str) -> Any:
    if code in _DEPRECATED:
        raise Unkept(at, _NAMES[code], f"the BSON type {_NAMES[code]} is deprecated: it cannot be written back")
    if code == _DOCUMENT:
        return literal(value, f"{at}.")
    return _array(value, f"{at}.") if code == _ARRAY else _simple(code, value, at)


def _array(raw: bytes, path: str) -> list[Any]:
    items = []
    for index, (name, code, value) in enumerate(_elements(raw, path)):
        if name != str(index):
            raise Unkept(path[:-1], "array", "the array's indexes do not count up from 0")
        items.append(_value(code, value, f"{path}{name}"))
    return items


def _simple(code: int, value: bytes, at: str) -> Any:
    alone = struct.pack("<iBB", len(value) + 7, code, 0) + value + b"\0"
    try:
        kept = decode(alone)
    except InvalidBSON:
        raise Unkept(at, _NAMES[code], f"the bytes are no valid {_NAMES[code]}") from None
    if encode(kept) != alone:
        raise Unkept(at, _NAMES[code], f"this form of {_NAMES[code]} cannot be written back as it is")
    return kept[""]


def _elements(raw: bytes, path: str) -> Iterator[tuple[str, int, bytes]]:
    """Name, type and bytes of each element."""
    position, end = 4, len(raw) - 1
    while position < end:
        code, name_end = raw[position], raw.index(0, position + 1)
        name = _name(raw[position + 1 : name_end], path)
        if code not in _NAMES:
            raise Unkept(f"{path}{name}", f"0x{code:02x}", "the BSON type is unknown")
        start = name_end + 1
        position = start + _size(code, raw, start)
        if position > end:
            raise Unkept(f"{path}{name}", _NAMES[code], "the value reaches beyond the document")
        yield name, code, raw[start:position]


def _name(raw: bytes, path: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Unkept(path[:-1], "object", "the name of a field is not valid UTF-8") from None


def _size(code: int, raw: bytes, start: int) -> int:
    if code in _SIZES:
        return _SIZES[code]
    if code == _REGEX:
        return raw.index(0, raw.index(0, start) + 1) + 1 - start
    return int.from_bytes(raw[start : start + 4], "little") + _COUNTED[code]
