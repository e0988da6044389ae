"""Lag is how long our own marks take to come back."""

from __future__ import annotations

from activities.tail import LagMeter


def test_nothing_is_known_before_the_first_mark_came_back() -> None:
    meter = LagMeter()
    meter.sent(1, 100.0)
    assert meter.seconds(100.5) is None


def test_the_lag_is_what_the_last_mark_took() -> None:
    meter = LagMeter()
    meter.sent(1, 100.0)
    meter.passed(1, 100.25)
    assert meter.seconds(101.0) == 0.25


def test_a_mark_that_does_not_come_back_makes_the_lag_grow() -> None:
    meter = LagMeter()
    meter.sent(1, 100.0)
    meter.passed(1, 100.1)
    meter.sent(2, 101.0)
    assert meter.seconds(131.0) == 30.0


def test_a_later_mark_answers_for_the_earlier_ones() -> None:
    meter = LagMeter()
    meter.sent(1, 100.0)
    meter.sent(2, 101.0)
    meter.passed(5, 101.5)
    assert meter.seconds(102.0) == 0.5


def test_the_next_mark_is_due_a_second_after_the_last() -> None:
    meter = LagMeter()
    meter.sent(1, 100.0)
    assert not meter.due(100.9)
    assert meter.due(101.0)
