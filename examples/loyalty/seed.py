"""A database as a few years of use leave it: nested contacts, fields that only some members have.

python -m examples.loyalty.seed MEMBERS
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from pymongo import MongoClient, WriteConcern

from examples.loyalty.config import Config

Document = dict[str, Any]
SEED = 20_260_101
BIRTHDAY = datetime(2019, 1, 1, tzinfo=UTC)
FIRST = ("Ada", "Bjørn", "Chloé", "Dušan", "Eleni", "Fatima", "Hiroshi", "José", "Ýrsa")
LAST = ("Lovelace", "Ångström", "Núñez", "Okafor", "O'Neil", "van der Berg", "李")
TIERS = ((50_000, "platinum"), (20_000, "gold"), (5_000, "silver"), (0, "bronze"))
INDEXES = {
    "transactions": [[("member", 1), ("at", -1)], [("merchant", 1), ("status", 1), ("day", 1)]],
}


def member_id(number: int) -> str:
    """m-000001 and so on."""
    return f"m-{number:06d}"


def tier_of(balance: int) -> str:
    """The tier that a balance earns."""
    return next(tier for least, tier in TIERS if balance >= least)


def member(number: int) -> Document:
    """A member as the years left it."""
    rng = Random(f"{SEED}/{number}")
    balance = rng.randrange(500, 20_000)
    document: Document = {
        "_id": member_id(number),
        "name": f"{rng.choice(FIRST)} {rng.choice(LAST)}",
        "balance": balance,
        "tier": tier_of(balance),
        "contact": {"email": f"member.{number}@example.org"},
        "joined": BIRTHDAY + timedelta(minutes=rng.randrange(3_000_000)),
    }
    return document | _leftovers(rng, document)


def _leftovers(rng: Random, document: Document) -> Document:
    odd: Document = {}
    if rng.random() < 0.4:
        document["contact"]["phone"] = f"+49 {rng.randrange(10**8)}"
    if rng.random() < 0.3:
        odd["preferences"] = {"newsletter": rng.random() < 0.5, "languages": rng.sample(["de", "pl", "pt"], 2)}
    if rng.random() < 0.1:
        odd["legacy"] = {"card": rng.randrange(10**12), "rate": rng.random(), "closed": None}
    if rng.random() < 0.05:
        odd["v"] = float(rng.randrange(3))
    return odd


def opening(document: Document) -> Document:
    """The transaction that gave a seeded member its points."""
    return {
        "_id": f"opening-{document['_id']}",
        "member": document["_id"],
        "kind": "opening",
        "points": document["balance"],
        "at": document["joined"],
        "status": "closed",
    }


def seed(uri: str, database: str, members: int) -> None:
    """Empty the database and fill it."""
    documents = [member(number) for number in range(members)]
    with MongoClient[Document](uri) as client:
        client.drop_database(database)
        db = client.get_database(database, write_concern=WriteConcern("majority"))
        for name, indexes in INDEXES.items():
            for keys in indexes:
                db[name].create_index(keys)
        db.create_collection("settlements")
        for batch in _batches(documents):
            db["members"].insert_many(batch)
            db["transactions"].insert_many([opening(document) for document in batch])


def _batches(documents: list[Document], size: int = 1_000) -> Iterator[list[Document]]:
    for start in range(0, len(documents), size):
        yield documents[start : start + size]


if __name__ == "__main__":
    config = Config.from_environment()
    seed(config.mongo, config.database, int(sys.argv[1]))
