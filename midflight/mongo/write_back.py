"""What a write back does to the documents: the operations, and what is said of a document that is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, ReplaceOne

from midflight.core.keys import key_value
from midflight.core.literal import first_element
from midflight.records import WriteBack

Operation = InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]] | DeleteOne
Write = tuple[bytes, Operation]
"""An operation, and the key that it is for."""

_DUPLICATE_KEY = 11000
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
_VALIDATION = 121
DOCUMENT_CODES = frozenset({2, 9, 14, 52, 55, 56, 57, 66, 67, 171, _VALIDATION, _DUPLICATE_KEY}) | _TOO_LARGE
"""What is wrong with a document, where the server says it of the whole command."""


def operations(changes: Sequence[WriteBack], present: Mapping[bytes, bytes], *, clear: bool) -> list[Write]:
    """Bring the documents to what the changes say; `present` holds the keys that exist, with their `_id`.

    Deletes come first, they may free a unique value; `clear` deletes whatever will be written, too. So is a document
    whose `_id` is equal but not identical (3 and 3.0): the server would keep the former, or refuse.
    """
    kept = {key for key, found in present.items() if not clear} - _renumbered(changes, present)
    deletes = [
        (each.key, DeleteOne(_by_key(each.key))) for each in changes if each.key in present and _goes(each, kept)
    ]
    writes = [(each.key, _write(each.key, each.document, kept)) for each in changes if each.document is not None]
    return [*deletes, *writes]


def reason_of(error: Mapping[str, Any]) -> str:
    """Why the source refuses a document, for people: never a value, and never the server's own text."""
    code = error.get("code")
    if code == _DUPLICATE_KEY:
        fields = ", ".join(f"`{name}`" for name in error.get("keyPattern", {})) or "some fields"
        return f"another document of the source has the same value of the unique index on {fields}"
    if code in _TOO_LARGE:
        return "the document is larger than the source permits"
    if code == _VALIDATION:
        return "the collection's validator refuses it, and Midflight's user may not bypass it"
    return f"the source refuses it (code {code} {error.get('codeName', '')})".replace(" )", ")")


def _renumbered(changes: Sequence[WriteBack], present: Mapping[bytes, bytes]) -> set[bytes]:
    return {
        each.key
        for each in changes
        if each.document is not None and each.key in present
        if first_element(each.document, "_id") != first_element(present[each.key], "_id")
    }


def _goes(change: WriteBack, kept: set[bytes]) -> bool:
    return change.document is None or change.key not in kept


def _write(key: bytes, document: bytes, kept: set[bytes]) -> Operation:
    # Raw, so that neither the order of fields nor any value passes through Python.
    exact = cast(dict[str, Any], RawBSONDocument(document))
    return ReplaceOne(_by_key(key), exact) if key in kept else InsertOne(exact)


def _by_key(key: bytes) -> dict[str, Any]:
    # A regular expression as a bare value would be a pattern.
    return {"_id": {"$eq": key_value(key)}}
