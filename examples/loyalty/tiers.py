"""A job that nobody remembered when the library came in: it sets members' tiers with the plain driver.

    python -m examples.loyalty.tiers [--rate 2] [--with-parent]

While the source is the authority its changes reach the target through the tail. After the flip the fence refuses it;
then it says so in its log and ends (exit code 3), instead of trying for ever.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from random import Random

from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure

from examples.loyalty.config import Config
from examples.loyalty.model import now
from examples.loyalty.seed import Document, member_id, tier_of

REFUSED = 3
FENCED = (121, 13)
"""The validator refuses (121), or the right to write is gone (13)."""
log = logging.getLogger("loyalty.tiers")


def recalculate(client: MongoClient[Document], config: Config, rate: float, stop: threading.Event) -> int:
    """One member after another, until stopped (0) or refused (REFUSED)."""
    database = client.get_database(config.database, write_concern=WriteConcern("majority"))
    rng, changed = Random("tiers"), 0
    while not stop.wait(rng.expovariate(rate)):
        try:
            changed += _one(database["members"], rng)
        except AutoReconnect as error:
            log.warning("the database is away, trying again: %s", type(error).__name__)
        except OperationFailure as error:
            if error.code not in FENCED:
                raise
            log.warning("the database refuses to change members.tier (code %s): the members have moved", error.code)
            log.warning("stopping after %d changes; this job needs a new home", changed)
            return REFUSED
    return 0


def _one(members: Collection[Document], rng: Random) -> int:
    """The tier of one member, as the balance says; a plain update, as if nothing were going on."""
    found = members.find_one({"_id": {"$gte": member_id(rng.randrange(members.estimated_document_count() or 1))}})
    if found is None:
        return 0
    change = {"tier": tier_of(found["balance"]), "tier_checked": now()}
    return int(members.update_one({"_id": found["_id"]}, {"$set": change}).matched_count)


def _stop_with_parent(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main(arguments: list[str]) -> int:
    """Exit code 0: stopped when asked; 3: refused by the fence."""
    parser = argparse.ArgumentParser(prog="python -m examples.loyalty.tiers")
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop, config = threading.Event(), Config.from_environment()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: stop.set())
    if options.with_parent:
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
    with MongoClient[Document](config.mongo, serverSelectionTimeoutMS=2_000) as client:
        return recalculate(client, config, options.rate, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
