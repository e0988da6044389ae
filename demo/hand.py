"""One domain's application: inserts, updates, replaces, deletes, inserts again, and sometimes writes nonsense."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure, WriteConcernError

from demo.domains.shape import SEED, Shape, is_flawed, left_to_people, with_fields
from demo.journal import Document, Journal
from demo.stages import EARLY, WRITABLE, Latch, Stages

HOT_KEYS = 25
HOT_SHARE = 0.3
REASONS = {121: "the fence", 11000: "the key exists"}
"""What the source's error codes mean; others are refusals of the update itself."""

Write = Callable[[], Document | None]


class _Nothing(Exception):
    """The write found no document: nothing changed."""


class Hand:
    """Writes to one collection, one write after another, each noted before and after."""

    def __init__(
        self, shape: Shape, collection: Collection[Document], journal: Journal, stages: Stages, latch: Latch
    ) -> None:
        self._shape, self._collection, self._journal = shape, collection, journal
        self._stages, self._latch = stages, latch
        self._rng = Random(f"{SEED}/writer/{shape.name}")
        self._next = shape.size
        self._spoiled: set[int] = set()
        self._kinds: dict[Callable[[], None], int] = {
            self._insert: 20,
            self._update: 52,
            self._replace: 6,
            self._delete: 8,
            self._reinsert: 12,
            self._spoil: 2,
        }

    def work(self, stop: threading.Event, per_second: float) -> None:
        """Write at about this rate, while the stage allows it, until asked to stop."""
        while not stop.wait(self._rng.expovariate(per_second)):
            if self._stages.of(self._shape.name) in WRITABLE:
                self._act()

    def _act(self) -> None:
        kinds, weights = list(self._kinds), list(self._kinds.values())
        self._rng.choices(kinds, weights)[0]()

    # --- kinds of writes -------------------------------------------------------------------------------------

    def _insert(self) -> None:
        number, self._next = self._next, self._next + 1
        self._put("insert", number)

    def _update(self) -> None:
        self._modify("update", self._pick(), self._shape.change(self._rng))

    def _replace(self) -> None:
        number = self._pick()
        document = self._fresh(number)
        self._send("replace", document["_id"], lambda: self._swapped(document))
        self._spoiled.discard(number)

    def _delete(self) -> None:
        self._remove(self._pick())

    def _reinsert(self) -> None:
        number = self._pick()
        if self._remove(number):
            self._put("reinsert", number)
            self._spoiled.discard(number)

    def _spoil(self) -> None:
        """An error of the application, mended before anybody reads from the target."""
        if self._stages.of(self._shape.name) in EARLY:
            number = self._pick()
            self._spoiled.add(number)
            self._modify("spoil", number, {"$set": self._shape.spoil(self._rng)})

    # --- how they are sent -----------------------------------------------------------------------------------

    def _put(self, kind: str, number: int) -> None:
        document = self._fresh(number)
        self._send(kind, document["_id"], lambda: self._inserted(document))

    def _modify(self, kind: str, number: int, update: Document) -> None:
        key = self._shape.key(number)

        self._send(kind, key, lambda: self._updated(key, update))

    def _remove(self, number: int) -> bool:
        key = self._shape.key(number)
        # The fence cannot refuse a delete, so the stage must not move between looking at it and deleting.
        with self._latch.held() as stage:
            return stage in WRITABLE and self._send("delete", key, lambda: self._deleted(key))

    def _inserted(self, document: Document) -> Document:
        self._collection.insert_one(document)
        return document

    def _updated(self, key: Any, update: Document) -> Document:
        """Nobody else writes this key, so reading it afterwards shows what the update made of it."""
        _found(self._collection.update_one({"_id": key}, update).matched_count)
        document = self._collection.find_one({"_id": key})
        assert document is not None, "a key of ours was written by somebody else"
        return document

    def _swapped(self, document: Document) -> Document:
        _found(self._collection.replace_one({"_id": document["_id"]}, document).matched_count)
        return document

    def _deleted(self, key: Any) -> None:
        _found(self._collection.delete_one({"_id": key}).deleted_count)

    def _send(self, kind: str, key: Any, write: Write) -> bool:
        """Note, write, note the answer. No answer is noted where none came: then nobody knows."""
        self._journal.intend(kind, key)
        try:
            self._journal.acknowledge(write())
        except _Nothing:
            self._journal.refuse("no such document")
        except (AutoReconnect, WriteConcernError):
            return False
        except OperationFailure as error:
            self._journal.refuse(REASONS.get(error.code or 0, "not applicable"))
        else:
            return True
        return False

    # --- which documents -------------------------------------------------------------------------------------

    def _pick(self) -> int:
        """A document that is ours to change: often one of a few hot ones, otherwise any."""
        while True:
            hot = self._rng.random() < HOT_SHARE
            number = self._rng.randrange(HOT_KEYS) * 97 if hot else self._rng.randrange(self._next)
            if not self._is_taboo(number):
                return number

    def _is_taboo(self, number: int) -> bool:
        """People look after flawed documents: some always, all of them once the target is looked at."""
        if number >= self._shape.size or not is_flawed(number):
            return number in self._spoiled and self._stages.of(self._shape.name) not in EARLY
        return left_to_people(number) or self._stages.of(self._shape.name) not in EARLY

    def _fresh(self, number: int) -> Document:
        document = self._shape.messy(self._rng, number)
        return with_fields(document, {"revision": self._rng.randrange(10**6)})


def _found(count: int) -> None:
    if count != 1:
        raise _Nothing
