"""Reads what stands in JSON columns: BSON values as tagged JSON, as jsonb gives it back.

Plain are null, booleans, integers, texts, arrays, documents, and doubles that survive it. All else is an object with
one name that begins with one `$` (`{"$long": "5"}`). A document's own name that begins with `$` has one more. `$order`
beside the names is no field. In the rest column, `$exact`, `$children` and `$order` stand beside the unmapped fields.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from midflight.core.transforms import MISSING as NO_FIELD
from midflight.parity.forms.normal import unreadable

Json = dict[str, Any]
_NO_OBJECT: Json = {}


def parsed(text: str) -> Any:
    """JSON text as Python data; a number that no double holds as written is a Decimal. ValueError."""
    return _decode_json(text)


def value_of(packed: Any) -> Any:
    """The BSON value that the data stands for. What no tag of ours explains becomes an unreadable normal value."""
    kind = type(packed)
    if kind is dict:
        return _object(packed)
    return [value_of(item) for item in packed] if kind is list else packed


def exact_of(packed: Any) -> Any:
    """The same for a value under `$exact`: that there was no field can be one too."""
    return NO_FIELD if packed == {"$missing": 1} else value_of(packed)


def name_of(name: str) -> str | None:
    """The document's name that a name in JSON stands for; None for one of ours."""
    if name[:1] != "$":
        return name
    return name[1:] if name[:2] == "$$" else None


def part_of(kept: Json, name: str) -> Json:
    """The object under this name; an empty one if there is none."""
    part = kept.get(name)
    return part if type(part) is dict else _NO_OBJECT


def _number(text: str) -> float | Decimal:
    double = float(text)
    exact = Decimal(text)
    return double if Decimal(repr(double)) == exact else exact


_decode_json = json.JSONDecoder(parse_float=_number).decode


def _object(packed: Json) -> Any:
    if len(packed) == 1:
        ((name, inner),) = packed.items()
        if name_of(name) is None and name != "$order":
            return _tagged(name, inner)
    body = {name_of(name) or name: value_of(inner) for name, inner in packed.items() if name != "$order"}
    order = packed.get("$order")
    # Fields are the same in any order; images are not.
    return {name: body[name] for name in order} if type(order) is list and body.keys() == set(order) else body


def _tagged(tag: str, inner: Any) -> Any:
    try:
        return _TAGS[tag](inner)
    except Exception:  # whatever somebody else may have written there
        return unreadable("the tagged value is none of ours")


def _double(text: str) -> float:
    bits = bytes.fromhex(text[2:]) if text.startswith("0x") else struct.pack("<d", float(text))
    (value,) = struct.unpack("<d", bits)
    return float(value)


def _decimal(text: str) -> Decimal128:
    return Decimal128.from_bid(bytes.fromhex(text[2:])) if text.startswith("0x") else Decimal128(text)


def _date(inner: str | int) -> datetime | DatetimeMS:
    return datetime.fromisoformat(inner).astimezone(UTC) if isinstance(inner, str) else DatetimeMS(inner)


def _binary(inner: dict[str, str]) -> bytes:
    subtype = int(inner["subType"], 16)
    data = b64decode(inner["base64"], validate=True)
    return Binary(data, subtype) if subtype else data


def _code(inner: Any) -> Code:
    if type(inner) is dict and "scope" in inner:
        return Code(value_of(inner["text"]), _object(inner["scope"]))
    return Code(value_of(inner))


_TAGS: dict[str, Callable[[Any], Any]] = {
    "$utf8": lambda text: b64decode(text, validate=True).decode(),
    "$long": Int64,
    "$double": _double,
    "$decimal": _decimal,
    "$oid": ObjectId,
    "$date": _date,
    "$binary": _binary,
    "$regex": lambda parts: Regex(*parts),
    "$timestamp": lambda parts: Timestamp(*parts),
    "$code": _code,
    "$minKey": lambda _: MinKey(),
    "$maxKey": lambda _: MaxKey(),
}
