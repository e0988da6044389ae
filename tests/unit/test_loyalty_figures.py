"""What the requests come to: percentiles, latency by stage, and which writes a hold let wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.loyalty.figures import ALL_READS, ALL_WRITES, Mark, Window, figures, percentile
from examples.loyalty.records import Operation, Records, Sent, Violation, operations, requests, violations

MARKS = [
    Mark(0.0, "off", "off"),
    Mark(10.0, "ramp", "ramp 100 %"),
    Mark(20.0, "hold", "hold"),
    Mark(20.3, "target", "target"),
]


def sent(at: float, ms: float, kind: str = "earn", port: int = 1) -> Sent:
    return Sent(at, ms, kind, port, "ok", 1)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == value


def test_of_nothing_every_percentile_is_zero() -> None:
    assert percentile([], 0.99) == 0.0


def test_a_request_belongs_to_the_stage_in_which_it_began() -> None:
    found = figures([sent(1, 5), sent(2, 9, "balance"), sent(11, 7), sent(25, 3)], MARKS)
    assert {label: sorted(kinds) for label, kinds in found.latency.items()} == {
        "off": [ALL_READS, ALL_WRITES, "balance", "earn"],
        "ramp 100 %": [ALL_WRITES, "earn"],
        "target": [ALL_WRITES, "earn"],
    }
    assert found.latency["off"][ALL_READS].p99 == 9


def test_writes_that_were_under_way_in_a_hold_are_those_that_waited() -> None:
    before, across, within, after = sent(19, 500), sent(19.5, 900), sent(20.1, 250), sent(20.4, 9_000)
    found = figures([before, across, within, after, sent(20.1, 7_000, "balance")], MARKS)
    assert (found.holds, found.held_writes) == (1, 2)
    assert found.hold_ms_max == pytest.approx(400), "what it took before the hold is not the hold's"
    assert found.hold_ms_p99 == pytest.approx(400)


def test_what_waited_for_a_process_that_stood_still_is_left_out() -> None:
    found = figures([sent(20.1, 250), sent(20.1, 8_000, port=2)], MARKS, [Window(19.0, 28.0, port=2)])
    assert found.hold_ms_max == pytest.approx(250)


def test_failures_and_second_tries_are_counted_apart() -> None:
    found = figures([Sent(1, 5, "earn", 1, "failed", 2), Sent(2, 5, "earn", 1, "ok", 2), sent(3, 5), sent(4, 5)], MARKS)
    assert (found.requests, found.failed, found.retried, found.availability) == (4, 1, 2, 0.75)


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    request = Sent(1_700_000_000.123456, 12.345, "earn", 8001, "refused", 2)
    operation = Operation("op", "transfer", False, "m-1", "m-2", 5)
    violation = Violation(1.5, "stale", "a read")
    records = Records(tmp_path)
    records.sent(request)
    records.operation(operation)
    records.violation(violation)
    records.close()
    assert requests(tmp_path) == [request]
    assert operations(tmp_path) == [operation]
    assert violations(tmp_path) == [violation]
