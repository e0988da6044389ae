"""What the load generator writes down, one file a matter, and how it is read again.

`requests.csv`: every request. `journal.jsonl`: every operation whose outcome matters, acknowledged or uncertain.
`violations.jsonl`: every invariant that did not hold, as it was seen.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

REQUESTS, JOURNAL, VIOLATIONS = "requests.csv", "journal.jsonl", "violations.jsonl"
WRITES = frozenset({"earn", "redeem", "transfer", "settle", "again"})
Result = Literal["ok", "refused", "failed"]
ViolationKind = Literal["stale", "negative", "wrong"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when it began (seconds since 1970), how long it took, and how it ended.

    `tries` is 2 where the process was gone and another one answered.
    """

    at: float
    ms: float
    kind: str
    port: int
    result: Result
    tries: int

    @property
    def ended(self) -> float:
        """When it was answered, or given up (seconds since 1970)."""
        return self.at + self.ms / 1_000

    @property
    def is_write(self) -> bool:
        """Whether it was to change something."""
        return self.kind in WRITES


@dataclass(frozen=True, slots=True)
class Operation:
    """An order as it was sent. `known`: it was acknowledged; otherwise nobody knows whether it took place."""

    id: str
    kind: str
    known: bool
    member: str = ""
    to: str = ""
    points: int = 0
    lines: int = 0
    transactions: int = 0


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold."""

    at: float
    kind: ViolationKind
    what: str


class Records:
    """Appends to the files. A line is on its way to disk when the call returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._requests = (folder / REQUESTS).open("a", encoding="utf-8", newline="")
        self._journal = (folder / JOURNAL).open("a", encoding="utf-8")
        self._violations = (folder / VIOLATIONS).open("a", encoding="utf-8")
        self._csv = csv.writer(self._requests)

    def sent(self, request: Sent) -> None:
        """A request that ended."""
        self._csv.writerow(
            (f"{request.at:.6f}", f"{request.ms:.3f}", request.kind, request.port, request.result, request.tries)
        )

    def operation(self, operation: Operation) -> None:
        """An operation that was acknowledged, or whose outcome is unknown."""
        _line(self._journal, asdict(operation))

    def violation(self, violation: Violation) -> None:
        """Something that must not be."""
        _line(self._violations, asdict(violation))

    def close(self) -> None:
        """No more."""
        for file in (self._requests, self._journal, self._violations):
            file.close()


def requests(folder: Path) -> list[Sent]:
    """Every request, by the time it ended."""
    with (folder / REQUESTS).open(encoding="utf-8", newline="") as file:
        return [Sent(float(at), float(ms), k, int(port), r, int(n)) for at, ms, k, port, r, n in csv.reader(file)]  # type: ignore[arg-type]


def operations(folder: Path) -> list[Operation]:
    """Every operation in the journal."""
    return [Operation(**fields) for fields in _lines(folder / JOURNAL)]


def violations(folder: Path) -> list[Violation]:
    """Every violation that was seen."""
    return [Violation(**fields) for fields in _lines(folder / VIOLATIONS)]


def _line(file: TextIO, fields: dict[str, Any]) -> None:
    file.write(json.dumps(fields) + "\n")
    file.flush()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):  # what a kill cut short was never written
                yield json.loads(line)
