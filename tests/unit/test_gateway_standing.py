"""How a domain stands in a process: leases, writes in flight, and the race between a look and a beat."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from midflight.clock import seconds
from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.gateway.standing import Standing

LEASE = 60.0


def route(revision: int, stage: Stage = Stage.RAMP, *, epoch: int = 1, mark: int = 0) -> Route:
    return Route("shop", Side.SOURCE, epoch, revision, False, stage, 0, 0, mark)


def standing_at(revision: int) -> Standing:
    standing = Standing("shop")
    for _ in range(2):
        standing.adopt(route(revision), seconds(), LEASE)
    return standing


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_the_first_poll_only_registers() -> None:
    standing = Standing("shop")
    assert standing.adopt(route(1), seconds(), LEASE)
    assert (standing.route, standing.trusted, standing.enter()) == (None, None, None)
    assert standing.adopt(route(1), seconds(), LEASE)
    assert standing.trusted == route(1)
    assert not standing.adopt(route(1), seconds(), LEASE)


def test_a_lease_counts_from_before_the_request() -> None:
    standing = Standing("shop")
    asked_at = seconds() - 10
    standing.adopt(route(1), asked_at, LEASE)
    standing.adopt(route(1), asked_at, 9.9)
    assert standing.route == route(1)
    assert standing.trusted is None


def test_a_beat_tells_the_oldest_revision_that_a_write_in_flight_obeys() -> None:
    standing = standing_at(1)
    old = standing.enter()
    standing.adopt(route(2), seconds(), LEASE)
    new = standing.enter()
    assert old is not None
    assert new is not None
    beat = standing.beat("me", LEASE)
    assert (beat.seen_revision, beat.oldest_revision) == (2, 1)
    assert beat.oldest_seconds is not None
    assert old.land()
    assert standing.beat("me", LEASE).oldest_revision == 2
    assert not new.land()
    assert standing.beat("me", LEASE).oldest_revision is None


def test_only_the_last_of_the_older_writes_is_worth_a_poll() -> None:
    standing = standing_at(1)
    flights = [standing.enter() for _ in range(3)]
    standing.adopt(route(2), seconds(), LEASE)
    assert [flight.land() for flight in flights if flight] == [False, False, True]
    assert [flight.land() for flight in flights if flight] == [False, False, False]


def test_no_write_begins_in_a_hold() -> None:
    standing = standing_at(1)
    standing.adopt(route(2, Stage.HOLD), seconds(), LEASE)
    assert standing.enter() is None
    assert standing.enter_unled().route.revision == 2


@pytest.mark.usefixtures("hasty_threads")
def test_a_beat_never_acknowledges_what_a_write_that_has_looked_does_not_obey() -> None:
    """Between its look at the route and its entry among the writes in flight, no beat may be taken."""
    standing, stop, early = standing_at(1), threading.Event(), []
    acknowledged = 0

    def write() -> None:
        while not stop.is_set():
            flight = standing.enter()
            assert flight is not None
            if flight.route.revision < acknowledged:
                early.append(flight.route.revision)
            flight.land()

    def check() -> None:
        nonlocal acknowledged
        for revision in range(2, 4_000):
            standing.adopt(route(revision), seconds(), LEASE)
            beat = standing.beat("me", LEASE)
            if beat.oldest_revision is None or beat.oldest_revision >= beat.seen_revision:
                acknowledged = beat.seen_revision
        stop.set()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    check()
    for thread in threads:
        thread.join()
    assert early == []


def test_a_change_of_the_authority_forgets_who_was_behind() -> None:
    standing = standing_at(1)
    standing.floors.fall([b"ada"], None, 1)
    assert standing.floors.behind(b"ada", 0)
    standing.adopt(route(2, epoch=2), seconds(), LEASE)
    assert not standing.floors.behind(b"ada", 0)
