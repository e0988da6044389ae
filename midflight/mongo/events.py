"""What we take from change events: the key, the kind, the time. Never the content of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from midflight.core.keys import key_bytes
from midflight.errors import SourceError
from midflight.mongo.wire import MARKS, time_bytes
from midflight.records import Changed

Event = Mapping[str, Any]

CHANGES = frozenset({"insert", "update", "replace", "delete"})
ENDS = {"drop": "was dropped", "rename": "was renamed or replaced by a rename"}


def pipeline(collections: Sequence[str]) -> list[dict[str, Any]]:
    """The stages after `$changeStream`: our collections and marks, and whatever ends them; no documents."""
    ours = {
        "$or": [
            {"ns.coll": {"$in": [*collections, MARKS]}},
            {"to.coll": {"$in": list(collections)}},
            {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
        ]
    }
    # Only of our own collection is a value asked for: the number of the mark.
    number = {"$ifNull": ["$updateDescription.updatedFields.n", "$fullDocument.n"]}
    mark = {"$cond": [{"$eq": ["$ns.coll", MARKS]}, number, "$$REMOVE"]}
    shape = {"operationType": 1, "ns": 1, "to": 1, "documentKey": 1, "clusterTime": 1, "mark": mark}
    return [{"$match": ours}, {"$project": shape}]


def changed(domain: str, events: Sequence[Event], token: bytes) -> Changed:
    """What these events say. SourceError where one of the followed collections is no longer what it was."""
    keys: dict[str, dict[bytes, None]] = {}
    marks: list[int] = []
    for event in events:
        if event.get("ns", {}).get("coll") == MARKS:
            marks += _mark(domain, event)
        else:
            collection, key = _change(event)
            keys.setdefault(collection, {})[key] = None
    return Changed(
        keys={collection: list(found) for collection, found in keys.items()},
        token=token,
        after=time_bytes(events[-1]["clusterTime"]) if events else None,
        mark=max(marks, default=None),
        events=len(events),
    )


def _mark(domain: str, event: Event) -> list[int]:
    """The number of our mark; nothing for another domain's, or where ours is being removed."""
    ours = event.get("documentKey", {}).get("_id") == domain
    return [int(event["mark"])] if ours and "mark" in event else []


def _change(event: Event) -> tuple[str, bytes]:
    kind = event["operationType"]
    if kind in CHANGES:
        return event["ns"]["coll"], key_bytes(event["documentKey"]["_id"])
    name = event.get("ns", {}).get("coll")
    where = f"the collection `{name}`" if name else "the source database"
    raise SourceError(
        f"While it was followed, {where} {ENDS.get(kind, 'was dropped')} ({kind} event).",
        next_step="Bring it back, then roll the domain back to `capture` to copy it anew.",
    )
