"""The writer's journal: what it meant to write, and what the source acknowledged; the truth of the final check.

One file a domain and hand, one JSON line a fact, flushed at once: an intent before the write, then an ack with the
whole resulting document (or null: gone), or a refusal. After an intent without either nobody knows what happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
Document = dict[str, Any]
JOURNAL = "{}.jsonl"
"""A domain's file; what people write is noted in the directory `PEOPLE`."""
PEOPLE = "people"


class JournalError(Exception):
    """The journal does not tell a story that can be checked."""


class Journal:
    """Appends to one file. Not for several threads."""

    def __init__(self, path: Path, domain: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._domain = domain
        self._sequence = 0

    def intend(self, kind: str, key: Any) -> int:
        """Note that a write is about to be sent; returns its number."""
        self._sequence += 1
        self._write(fact="intent", kind=kind, domain=self._domain, key=packed({"_id": key}).hex())
        return self._sequence

    def acknowledge(self, document: Document | None) -> None:
        """The source accepted the last intent; this is the document now, None when it is gone."""
        self._write(fact="ack", document=packed(document).hex() if document is not None else None)

    def refuse(self, reason: str) -> None:
        """The source did not accept the last intent: nothing changed."""
        self._write(fact="refused", reason=reason)

    def close(self) -> None:
        """No more."""
        self._file.close()

    def _write(self, **fields: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"sequence": self._sequence, "at": at, **fields}) + "\n")
        self._file.flush()


@dataclass(slots=True)
class Story:
    """What a journal tells of one domain, by packed key."""

    acknowledged: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    last: dict[bytes, bytes | None] = field(default_factory=dict)
    """The last acknowledged document of each key, as BSON bytes; None: gone."""
    uncertain: set[bytes] = field(default_factory=set)
    """Keys whose newest write was never answered."""
    kinds: dict[str, int] = field(default_factory=dict)

    def merge(self, other: Story) -> None:
        """Add the story of another hand. JournalError when both wrote the same key: the order would be unknown."""
        mine, theirs = self.last.keys() | self.uncertain, other.last.keys() | other.uncertain
        if both := mine & theirs:
            raise JournalError(f"{len(both)} keys were written by two hands at once")
        self.acknowledged += other.acknowledged
        self.last |= other.last
        self.uncertain |= other.uncertain
        for counts, more in ((self.refused, other.refused), (self.kinds, other.kinds)):
            for name, count in more.items():
                counts[name] = counts.get(name, 0) + count


def read(path: Path) -> Story:
    """The story of one file. A last line cut short by a crash counts as not written."""
    story, pending = Story(), (b"", "")
    for line in _facts(path):
        if line["fact"] == "intent":
            pending = (bytes.fromhex(line["key"]), line["kind"])
            story.uncertain.add(pending[0])
            continue
        key, kind = pending
        story.uncertain.discard(key)
        if line["fact"] == "ack":
            document = line["document"]
            story.last[key] = bytes.fromhex(document) if document is not None else None
            story.acknowledged += 1
            story.kinds[kind] = story.kinds.get(kind, 0) + 1
        else:
            story.refused[line["reason"]] = story.refused.get(line["reason"], 0) + 1
    return story


def packed(document: Document) -> bytes:
    """A document as BSON bytes."""
    return bson.encode(document, codec_options=CODEC)


def unpacked(document: bytes) -> Document:
    """BSON bytes as a document."""
    return bson.decode(document, codec_options=CODEC)


def _facts(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    sequence = 0
    for line in lines[:-1]:  # what follows the last line break was never finished
        fact = json.loads(line)
        if fact["sequence"] < sequence or (fact["fact"] != "intent" and fact["sequence"] != sequence):
            raise JournalError(f"{path.name}: fact {fact['sequence']} does not follow {sequence}")
        sequence = fact["sequence"]
        yield fact
