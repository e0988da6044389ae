"""Documents as they come from the source: blocks of concatenated BSON, decoded one by one.

A decoded document is *exact*: encoding its body gives the very bytes that were read. What the decoder would change is
not guessed at but handed on as `Undecodable`, with the reason; one such document never stops a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Any

from midflight.core.keys import key_bytes, key_value
from midflight.core.literal import Unkept, first_element, literal
from midflight.core.values import InvalidBSON, decode, encode

_NO_KEY = key_bytes(None)
_SIZE = Struct("<I").unpack_from


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `checksum` is `digest_raw` of its BSON bytes; `encode(body)` gives those bytes."""

    key: bytes
    body: dict[str, Any]
    checksum: bytes


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A document that cannot be decoded and written back identically: which field, of which BSON type, and why."""

    key: bytes
    reason: str
    checksum: bytes
    field: str = ""
    value_type: str = "object"


def read_documents(block: bytes) -> list[Document | Undecodable]:
    """The documents of a block of concatenated BSON, in order."""
    return [read_document(raw) for raw in split(block)]


def read_document(raw: bytes) -> Document | Undecodable:
    """One document from its BSON bytes."""
    try:
        body = decode(raw)
        # A sub-document that the driver takes for a DBRef has `$ref`; the plan may want its fields.
        if b"$ref\0" not in raw and encode(body) == raw:
            return Document(key_bytes(body["_id"]), body, digest_raw(raw))
    except (InvalidBSON, KeyError):
        pass
    return _read_literally(raw)


def split(block: bytes) -> Iterator[bytes]:
    """The BSON bytes of each document of the block."""
    start, length = 0, len(block)
    while start < length:
        end = start + _SIZE(block, start)[0]
        yield block[start:end]
        start = end


def last_key(block: bytes) -> tuple[bytes, int]:
    """The key of the block's last document, and how many documents the block holds. The block must not be empty."""
    documents = list(split(block))
    return _key(documents[-1]), len(documents)


def key_of(raw: bytes) -> bytes:
    """The key of a document that is still BSON; fast for the usual types of key, which come first in the document."""
    kind = raw[4:9]
    if kind == b"\x07_id\0":
        return b"\x07\0" + raw[9:21]
    if kind == b"\x02_id\0":
        return b"\x02\0" + raw[9 : 13 + int.from_bytes(raw[9:13], "little")]
    return _key(raw)


def digest(body: Mapping[str, Any]) -> bytes:
    """The checksum of a document: 16 bytes over its BSON bytes."""
    return digest_raw(encode(body))


def digest_raw(raw: bytes) -> bytes:
    """The checksum of a document that is still BSON."""
    return blake2b(raw, digest_size=16).digest()


def _read_literally(raw: bytes) -> Document | Undecodable:
    key, checksum = _key(raw), digest_raw(raw)
    try:
        body = literal(raw)
    except Unkept as why:
        return Undecodable(key, why.reason, checksum, why.field, why.value_type)
    except ValueError:
        return Undecodable(key, "the bytes are no valid BSON document", checksum)
    if "_id" not in body:
        return Undecodable(key, "the document has no _id", checksum, "_id", "missing")
    if encode(body) != raw:
        return Undecodable(key, "the document cannot be written back as it is", checksum)
    return Document(key, body, checksum)


def _key(raw: bytes) -> bytes:
    """The key of a document that may be undecodable elsewhere; its own bytes where the `_id` is undecodable itself."""
    try:
        element = first_element(raw, "_id")
    except (Unkept, ValueError):
        element = None
    if element is None:
        return _NO_KEY
    try:
        return key_bytes(key_value(element))
    except (InvalidBSON, Unkept):
        return element
