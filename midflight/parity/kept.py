"""Differences as they are kept: normal values as JSON that jsonb holds exactly, and back.

Text stays text; every other value carries its type in an object with one name. Nothing of a document is kept but the
values that differ. Pure.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from midflight.parity.forms.normal import MISSING
from midflight.parity.records import Cause, FieldDifference, Kind, Normal


def differences_to_json(fields: Sequence[FieldDifference]) -> str:
    """A JSON array, one object a field."""
    return json.dumps([_to_json(one) for one in fields], separators=(",", ":"))


def differences_from_json(text: str) -> tuple[FieldDifference, ...]:
    """What `differences_to_json` was given."""
    return tuple(_from_json(one) for one in json.loads(text))


def _to_json(one: FieldDifference) -> dict[str, Any]:
    values = {"source": _pack(one.source), "target": _pack(one.target)}
    return {"path": one.path, "kind": one.kind.value, "cause": one.cause.value, **values}


def _from_json(kept: dict[str, Any]) -> FieldDifference:
    values = (_unpack(kept["source"]), _unpack(kept["target"]))
    return FieldDifference(kept["path"], Kind(kept["kind"]), *values, Cause(kept["cause"]))


def _pack(value: Normal) -> Any:
    if value is MISSING:
        return {"missing": True}
    kind = type(value)
    if kind is bool or value is None:
        return value
    name, pack = _PACK[kind]
    return pack(value) if name is None else {name: pack(value)}


def _unpack(packed: Any) -> Normal:
    if not isinstance(packed, dict):
        return packed
    ((name, inner),) = packed.items()
    return _UNPACK[name](inner)


def _pack_text(value: str) -> Any:
    """jsonb holds neither NUL nor half a surrogate pair."""
    if "\0" in value or not _encodable(value):
        return {"text": _base64(value.encode("utf-8", "surrogatepass"))}
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


_PACK: dict[type, tuple[str | None, Callable[[Any], Any]]] = {
    str: (None, _pack_text),
    int: ("int", str),
    float: ("float", repr),
    Decimal: ("decimal", str),
    datetime: ("time", datetime.isoformat),
    bytes: ("bytes", _base64),
    tuple: ("tagged", lambda value: [_pack(part) for part in value]),
}
_UNPACK: dict[str, Callable[[Any], Normal]] = {
    "missing": lambda _: MISSING,
    "text": lambda data: b64decode(data).decode("utf-8", "surrogatepass"),
    "int": int,
    "float": float,
    "decimal": Decimal,
    "time": datetime.fromisoformat,
    "bytes": b64decode,
    "tagged": lambda parts: tuple(_unpack(part) for part in parts),
}
