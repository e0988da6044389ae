"""What people do about quarantined documents: mend some of them in the source, and waive the others by name."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pymongo import MongoClient, WriteConcern
from rich.markup import escape

from demo.domains.shape import Shape, left_to_people
from demo.journal import CODEC, JOURNAL, PEOPLE, Document, Journal
from demo.traveller import PERSON, Traveller
from midflight.core.keys import key_bytes, key_text
from midflight.records import QuarantineEntry

MENDED_AT_MOST = 8
WAIVER = "known to be wrong; the owner corrects it after the move"
KEY_FIELD = "_id"
SHOWN = 3


class QuarantineDesk:
    """Works through the open entries of one domain."""

    def __init__(self, traveller: Traveller, shape: Shape, client: MongoClient[Document], journals: Path) -> None:
        self._traveller, self._shape = traveller, shape
        self._collection = client[traveller.plan.source.database].get_collection(
            shape.name, codec_options=CODEC, write_concern=WriteConcern("majority")
        )
        self._journal = Journal(journals / PEOPLE / JOURNAL.format(shape.name), shape.name)
        self._ours = {key_bytes(shape.key(n)): n for n in range(shape.size) if left_to_people(n)}
        self._mended: set[bytes] = set()
        self.waived = 0

    @property
    def mended(self) -> int:
        """How many documents were mended in the source."""
        return len(self._mended)

    async def work(self) -> None:
        """Mend what can be mended, waive the rest; a mended one leaves by itself when the tail has seen it."""
        ledger, domain = self._traveller.target.ledger, self._traveller.domain
        entries = [e for e in await ledger.quarantined(domain) if e.key not in self._mended]
        mendable = [e for e in entries if self._is_mendable(e)][: MENDED_AT_MOST - self.mended]
        for entry in mendable:
            await asyncio.to_thread(self._mend, entry)
        waivable = [e for e in entries if e not in mendable]
        for entry in waivable:
            await ledger.waive(domain, entry.number, PERSON, WAIVER)
        self.waived += len(waivable)
        self._tell(mendable, waivable)

    def close(self) -> None:
        """No more."""
        self._journal.close()

    def _is_mendable(self, entry: QuarantineEntry) -> bool:
        """A document with a wrong key would have to become another document."""
        return entry.key in self._ours and entry.field != KEY_FIELD

    def _mend(self, entry: QuarantineEntry) -> None:
        document = self._shape.sound(self._ours[entry.key])
        self._journal.intend("mend", document["_id"])
        replaced = self._collection.replace_one({"_id": document["_id"]}, document).matched_count == 1
        if replaced:
            self._journal.acknowledge(document)
        else:
            self._journal.refuse("no such document")
        self._mended.add(entry.key)

    def _tell(self, mended: list[QuarantineEntry], waived: list[QuarantineEntry]) -> None:
        for did, entries in (("mended in the source", mended), ("waived by name", waived)):
            if entries:
                first = "; ".join(f"{key_text(e.key)} {e.field}: {e.reason}" for e in entries[:SHOWN])
                more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
                self._traveller.say(f"quarantine, {did}: {escape(first)}{more}")
