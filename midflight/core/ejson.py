"""BSON values as JSON that survives jsonb exactly, and stays pleasant to query.

What jsonb keeps as it is stays plain: null, booleans, int32, strings, arrays, sub-documents, and doubles such as 4.5.
All else carries its type in a tag, an object with one name that begins with `$`: `{"$oid": ..}`, `{"$long": "5"}`,
`{"$decimal": "1.10"}`, `{"$date": "2024-01-31T00:00:00.000Z"}`, ... A customer's own name that begins with `$` gets
one more `$`. jsonb reorders names (by length, then bytes); where a document's order differs, `"$order"` lists them.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from midflight.core.values import UTC, identical

ORDER = "$order"

_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def dumps(value: Any) -> str:
    """The value as JSON text."""
    return _encode_json(pack(value))


def loads(text: str) -> Any:
    """The value that `dumps` was given, from its text or from what jsonb made of it."""
    return unpack(json.loads(text))


def dump_json(packed: Any) -> str:
    """JSON text of what `pack` made."""
    return _encode_json(packed)


def load_json(text: str) -> Any:
    """JSON text as Python data, still packed."""
    return json.loads(text)


def pack(value: Any) -> Any:
    """The value as data for JSON."""
    kind = type(value)
    if kind is str:
        return value if "\0" not in value else {"$utf8": _base64(value.encode())}
    return value if kind in _PLAIN else _PACK[kind](value)


def unpack(packed: Any) -> Any:
    """The value that `pack` was given. ValueError for a tag that is none of ours."""
    kind = type(packed)
    if kind is dict:
        return _unpack_object(packed)
    return [unpack(item) for item in packed] if kind is list else packed


def escape(name: str) -> str:
    """A field's name as a name in JSON."""
    return f"${name}" if name.startswith("$") else name


def unescape(name: str) -> str:
    """The field's name that a name in JSON stands for."""
    return name[1:] if name.startswith("$") else name


def jsonb_order(names: Iterable[str]) -> list[str]:
    """The names in the order in which jsonb returns them: by length in UTF-8, then by bytes."""
    return sorted(names, key=_rank)


def _rank(name: str) -> tuple[int, bytes]:
    encoded = name.encode()
    return len(encoded), encoded


# --- to JSON --------------------------------------------------------------------------------------------------------

_PLAIN = frozenset({int, bool, type(None)})
_NAN = struct.pack("<d", float("nan"))


def _pack_document(body: Mapping[str, Any]) -> dict[str, Any]:
    packed = {escape(name): pack(value) for name, value in body.items()}
    names = list(packed)
    if len(names) > 1 and names != jsonb_order(names):
        packed[ORDER] = list(body)
    return packed


def _pack_array(items: list[Any]) -> list[Any]:
    return [pack(item) for item in items]


def _pack_double(value: float) -> Any:
    text = repr(value)
    if "." in text and "e" not in text and text != "-0.0":
        return value
    bits = struct.pack("<d", value)
    # A NaN may carry a payload, which its name would lose.
    return {"$double": f"0x{bits.hex()}" if value != value and bits != _NAN else text}


def _pack_decimal(value: Decimal128) -> dict[str, Any]:
    text = str(value)
    exact = Decimal128(text).bid == value.bid
    return {"$decimal": text if exact else f"0x{value.bid.hex()}"}


def _pack_datetime(value: datetime) -> dict[str, Any]:
    if value.microsecond % 1000:
        raise ValueError("a BSON date has milliseconds only")
    return {"$date": value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _pack_binary(value: bytes) -> dict[str, Any]:
    subtype = value.subtype if isinstance(value, Binary) else 0
    return {"$binary": {"base64": _base64(value), "subType": f"{subtype:02x}"}}


def _pack_code(value: Code) -> dict[str, Any]:
    text = pack(str(value))
    return {"$code": text if value.scope is None else {"text": text, "scope": _pack_document(value.scope)}}


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


_PACK: dict[type, Callable[[Any], Any]] = {
    dict: _pack_document,
    list: _pack_array,
    float: _pack_double,
    Int64: lambda value: {"$long": str(int(value))},
    Decimal128: _pack_decimal,
    ObjectId: lambda value: {"$oid": str(value)},
    datetime: _pack_datetime,
    DatetimeMS: lambda value: {"$date": int(value)},
    bytes: _pack_binary,
    Binary: _pack_binary,
    Regex: lambda value: {"$regex": [value.pattern, value.flags]},
    Timestamp: lambda value: {"$timestamp": [value.time, value.inc]},
    Code: _pack_code,
    MinKey: lambda _: {"$minKey": 1},
    MaxKey: lambda _: {"$maxKey": 1},
    DBRef: lambda value: _pack_document(value.as_doc()),
}


# --- from JSON ------------------------------------------------------------------------------------------------------


def _unpack_object(packed: dict[str, Any]) -> Any:
    if len(packed) == 1:
        ((name, inner),) = packed.items()
        if name[:1] == "$" and name[:2] != "$$" and name != ORDER:
            return _unpack_tag(name, inner)
    names = [unescape(name) for name in jsonb_order(packed.keys() - {ORDER})]
    return {name: unpack(packed[escape(name)]) for name in reordered(names, packed.get(ORDER, ()))}


def reordered(natural: list[str], order: Iterable[str]) -> list[str]:
    """The names in the order noted for them; what the note does not know comes last."""
    known, noted = set(natural), dict.fromkeys(order)
    return [*(n for n in noted if n in known), *(n for n in natural if n not in noted)]


def _unpack_tag(name: str, inner: Any) -> Any:
    if name not in _UNPACK:
        raise ValueError(f"unknown tag {name}")
    return _UNPACK[name](inner)


def _unpack_double(text: str) -> float:
    return struct.unpack("<d", bytes.fromhex(text[2:]))[0] if text.startswith("0x") else float(text)


def _unpack_decimal(text: str) -> Decimal128:
    return Decimal128.from_bid(bytes.fromhex(text[2:])) if text.startswith("0x") else Decimal128(text)


def _unpack_date(inner: str | int) -> datetime | DatetimeMS:
    return DatetimeMS(inner) if isinstance(inner, int) else datetime.fromisoformat(inner).astimezone(UTC)


def _unpack_binary(inner: dict[str, str]) -> bytes:
    data, subtype = b64decode(inner["base64"]), int(inner["subType"], 16)
    return Binary(data, subtype) if subtype else data


def _unpack_code(inner: Any) -> Code:
    if isinstance(inner, dict) and "scope" in inner:
        return Code(unpack(inner["text"]), _unpack_object(inner["scope"]))
    return Code(unpack(inner))


_UNPACK: dict[str, Callable[[Any], Any]] = {
    "$utf8": lambda text: b64decode(text).decode(),
    "$long": lambda text: Int64(text),
    "$double": _unpack_double,
    "$decimal": _unpack_decimal,
    "$oid": ObjectId,
    "$date": _unpack_date,
    "$binary": _unpack_binary,
    "$regex": lambda parts: Regex(*parts),
    "$timestamp": lambda parts: Timestamp(*parts),
    "$code": _unpack_code,
    "$minKey": lambda _: MinKey(),
    "$maxKey": lambda _: MaxKey(),
}


def same_json(left: str, right: str) -> bool:
    """Whether two texts stand for the identical value, however jsonb wrote them."""
    return identical(loads(left), loads(right))
