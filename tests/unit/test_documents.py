"""Documents that the driver would change are read literally, or handed on with the reason."""

from __future__ import annotations

import struct
from typing import Any

import bson
import pytest
from bson import Int64, ObjectId

from midflight.core.documents import Document, Undecodable, digest_raw, last_key, read_document, read_documents
from midflight.core.keys import key_bytes

ID = b"\x10_id\x00\x05\x00\x00\x00"
KEY = key_bytes(5)


def document(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def string(text: bytes) -> bytes:
    return struct.pack("<i", len(text) + 1) + text + b"\0"


INT = struct.pack("<i", 1)
OBJECT_ID = ObjectId().binary
REFUSED = {
    "a symbol": (document(ID, b"\x0es\0" + string(b"x")), "s", "symbol", "deprecated"),
    "an undefined": (document(ID, b"\x06u\0"), "u", "undefined", "deprecated"),
    "a db pointer": (document(ID, b"\x0cp\0" + string(b"c") + OBJECT_ID), "p", "dbPointer", "deprecated"),
    "a symbol in an array of documents": (
        document(ID, b"\x04a\0" + document(b"\x03" + b"0\0" + document(b"\x0es\0" + string(b"x")))),
        "a.0.s",
        "symbol",
        "deprecated",
    ),
    "a field twice": (document(ID, b"\x10a\0" + INT, b"\x10a\0" + INT), "a", "int", "twice"),
    "a field twice in a sub-document": (
        document(ID, b"\x03d\0" + document(b"\x10a\0" + INT, b"\x0aa\0")),
        "d.a",
        "null",
        "twice",
    ),
    "invalid UTF-8": (document(ID, b"\x02s\0" + string(b"\xff")), "s", "string", "no valid string"),
    "an array with wrong indexes": (document(ID, b"\x04a\0" + document(b"\x101\0" + INT)), "a", "array", "indexes"),
    "a regex with unordered flags": (document(ID, b"\x0br\0a\0mi\0"), "r", "regex", "cannot be written back"),
    "an unknown type": (document(ID, b"\x55x\0"), "x", "0x55", "unknown"),
    "a name in invalid UTF-8": (document(ID, b"\x10\xff\0" + INT), "", "object", "UTF-8"),
    "a value beyond the end": (document(ID, b"\x02s\0\xff\xff\0\0x\0"), "s", "string", "beyond"),
    "an _id that is not first": (document(b"\x10a\0" + INT, ID), "", "object", "cannot be written back"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_back_is_named(name: str) -> None:
    raw, field, value_type, reason = REFUSED[name]
    found = read_document(raw)
    assert isinstance(found, Undecodable)
    assert (found.key, found.field, found.value_type) == (KEY, field, value_type)
    assert reason in found.reason
    assert found.checksum == digest_raw(raw)


def test_one_bad_document_does_not_stop_its_block() -> None:
    good = bson.encode({"_id": 1, "a": "x"})
    found = read_documents(good + REFUSED["a symbol"][0] + good)
    assert [type(d) for d in found] == [Document, Undecodable, Document]


@pytest.mark.parametrize("reference", [{"$ref": "c", "$id": 5}, {"$id": 5, "x": 1, "$ref": "c"}])
def test_a_dbref_stays_a_sub_document_with_its_own_order(reference: dict[str, Any]) -> None:
    raw = bson.encode({"_id": 1, "r": reference})
    found = read_document(raw)
    assert isinstance(found, Document)
    assert found.body == {"_id": 1, "r": reference}
    assert bson.encode(found.body) == raw


def test_a_document_without_an_id_is_refused() -> None:
    found = read_document(document(b"\x10a\0" + INT))
    assert isinstance(found, Undecodable)
    assert (found.field, found.value_type) == ("_id", "missing")


def test_an_id_that_cannot_be_decoded_still_has_bytes() -> None:
    bad = read_document(document(b"\x02_id\0" + string(b"\xff")))
    assert isinstance(bad, Undecodable)
    assert bad.key == b"\x02\0" + string(b"\xff")


def test_the_last_key_of_a_block_comes_with_the_count() -> None:
    block = b"".join(bson.encode({"_id": Int64(n)}) for n in range(3))
    assert last_key(block) == (key_bytes(2), 3)
