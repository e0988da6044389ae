"""The client's side of HTTP: which process is asked, how long it takes, and what counts as a failure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp

from examples.loyalty.records import Records, Result, Sent

ANSWER_SECONDS = 75.0
"""Longer than MongoDB keeps the transaction of a client that was killed (60 s), with its locks."""
AVOIDED_SECONDS = 0.5
"""So long a process that did not take a connection is left alone, as a load balancer would."""
SLOW_SECONDS = 1.0
"""A process that has left a request unanswered for so long gets no new ones, while another one answers."""
ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0: nothing did."""

    status: int
    body: Any = None

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return self.status == 200

    @property
    def refused(self) -> bool:
        """Whether the application said no, for a reason of its own."""
        return self.status == 409

    @property
    def result(self) -> Result:
        """As it is counted: 5xx, and no answer at all, are failures; so is every answer that nobody expects."""
        return "ok" if self.ok else "refused" if self.refused else "failed"


class Processes:
    """The application's processes, as a load balancer sees them: which of them to leave alone for a moment."""

    def __init__(self, ports: Sequence[int], rng: Random) -> None:
        self._until = dict.fromkeys(ports, 0.0)
        self._asked: dict[int, dict[int, float]] = {port: {} for port in ports}
        self._number = 0
        self._rng = rng

    def pick(self, but: int | None = None) -> int:
        """One that answers, as far as we know."""
        others = [port for port in self._until if port != but] or list(self._until)
        now = time.monotonic()
        up = [port for port in others if self._until[port] <= now]
        quick = [port for port in up if now - min(self._asked[port].values(), default=now) < SLOW_SECONDS]
        return self._rng.choice(quick or up or others)

    def avoid(self, port: int) -> None:
        """It did not take a connection."""
        self._until[port] = time.monotonic() + AVOIDED_SECONDS

    @contextmanager
    def asked(self, port: int) -> Iterator[None]:
        """It has been asked, and has not answered until the end of the block."""
        self._number += 1
        mine = self._number
        self._asked[port][mine] = time.monotonic()
        try:
            yield
        finally:
            del self._asked[port][mine]


class Client:
    """One session's connection to the application: it keeps its cookies, and records every request."""

    def __init__(self, http: aiohttp.ClientSession, processes: Processes, records: Records) -> None:
        self._http, self._processes, self._records = http, processes, records

    async def send(self, kind: str, path: str, body: Any = None) -> Answer:
        """Ask one process; if its connection breaks, once more another one (counted as two tries)."""
        at, began = time.time(), time.monotonic()
        port, tries = self._processes.pick(), 1
        answer = await self._try(port, path, body)
        if answer.status == 0:
            self._processes.avoid(port)
            port, tries = self._processes.pick(but=port), 2
            answer = await self._try(port, path, body)
        elapsed = (time.monotonic() - began) * 1_000
        self._records.sent(Sent(at, elapsed, kind, port, answer.result, tries))
        return answer

    async def _try(self, port: int, path: str, body: Any) -> Answer:
        url = f"http://127.0.0.1:{port}{path}"
        method = "GET" if body is None else "POST"
        try:
            with self._processes.asked(port):
                async with self._http.request(method, url, json=body) as response:
                    return Answer(response.status, await response.json(content_type=None))
        except ERRORS:
            return Answer(0)
        except ValueError:  # an error page instead of JSON
            return Answer(500)
