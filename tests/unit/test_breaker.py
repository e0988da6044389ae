"""The breaker leaves a failing store alone, and finds out again by itself."""

from __future__ import annotations

from midflight.gateway.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, seconds=5.0, clock=clock)
    for _ in range(3):
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(failures=3, seconds=5.0, clock=Clock())
    for _ in range(2):
        breaker.failed()
        assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()


def test_a_success_begins_the_count_anew() -> None:
    breaker = Breaker(failures=3, seconds=5.0, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_after_the_pause_one_probe_is_let_through() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 4.9
    assert not breaker.allows()
    clock.now = 5.0
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_a_probe_that_fails_opens_it_for_another_pause() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 5.0
    assert breaker.allows()
    clock.now = 6.0
    breaker.failed()
    clock.now = 10.9
    assert not breaker.allows()
    clock.now = 11.0
    assert breaker.allows()


def test_a_probe_that_succeeds_closes_it() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 5.0
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_probe_that_never_ends_is_followed_by_another() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 5.0
    assert breaker.allows()
    clock.now = 10.0
    assert breaker.allows()
