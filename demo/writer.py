"""The writer: a process that keeps writing to all four domains, and writes down every acknowledged write.

    python -m demo.writer JOURNALS DATABASE WRITES_PER_SECOND SHARE

Addresses come from the settings of the stores `mongo-main` and `pg-main`. It ends (0) on SIGTERM, or when its standard
input is closed, which happens also when whoever started it dies; 1 when a hand failed.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

from pymongo import MongoClient, WriteConcern

from demo.domains import scaled
from demo.domains.shape import Shape
from demo.hand import Hand
from demo.journal import CODEC, JOURNAL, Document, Journal
from demo.stages import Latch, Stages
from midflight.settings import Settings

SOURCE, TARGET = "mongo-main", "pg-main"
AT_MOST_SECONDS = 3_600.0
SELECTION_MS = 2_000
"""So long a hand waits for a source that is away; then it can be asked to stop."""


class Writer:
    """Four hands in four threads; each key belongs to one hand, so its journal tells the order of its writes."""

    def __init__(self, journals: Path, database: str, per_second: float, share: float) -> None:
        settings = Settings.from_environment()
        self._uri = settings.source(SOURCE).get_secret_value()
        self._dsn = settings.target(TARGET).get_secret_value()
        self._journals, self._database, self._shapes = journals, database, scaled(share).values()
        self._rate = per_second / len(self._shapes)
        self.stop = threading.Event()
        self.failed = False

    def run(self) -> None:
        """Write until stopped."""
        stages = Stages(self._dsn, self.stop)
        stages.start()
        with MongoClient[Document](self._uri, serverSelectionTimeoutMS=SELECTION_MS) as client:
            hands = [threading.Thread(target=self._guarded, args=(shape, client, stages)) for shape in self._shapes]
            for hand in hands:
                hand.start()
            self.stop.wait(AT_MOST_SECONDS)
            self.stop.set()
            for hand in hands:
                hand.join()

    def _guarded(self, shape: Shape, client: MongoClient[Document], stages: Stages) -> None:
        try:
            self._write(shape, client, stages)
        except BaseException:
            self.failed = True
            self.stop.set()
            raise

    def _write(self, shape: Shape, client: MongoClient[Document], stages: Stages) -> None:
        collection = client[self._database].get_collection(
            shape.name, codec_options=CODEC, write_concern=WriteConcern("majority")
        )
        with ExitStack() as stack:
            journal = Journal(self._journals / JOURNAL.format(shape.name), shape.name)
            stack.enter_context(closing(journal))
            latch = stack.enter_context(closing(Latch(self._dsn, shape.name)))
            Hand(shape, collection, journal, stages, latch).work(self.stop, self._rate)


def _stop_with_parent(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main(arguments: list[str]) -> int:
    """Run; 0 after a clean stop, 1 when a hand failed."""
    writer = Writer(Path(arguments[0]), arguments[1], float(arguments[2]), float(arguments[3]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: writer.stop.set())
    threading.Thread(target=_stop_with_parent, args=(writer.stop,), daemon=True).start()
    writer.run()
    return 1 if writer.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
