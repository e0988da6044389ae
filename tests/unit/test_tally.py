"""The tally loses nothing between threads, and nothing that could not be published, but stays bounded."""

from __future__ import annotations

import threading

from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.gateway import tally as module
from midflight.gateway.observing import Observations
from midflight.gateway.tally import Tally
from midflight.records import ReadMismatch, ReadReport


def route(revision: int = 1, domain: str = "members") -> Route:
    return Route(domain, Side.SOURCE, 1, revision, False, Stage.RAMP, 1_000, 500)


def mismatch(number: int) -> ReadMismatch:
    return ReadMismatch("balance", str(number), ("total",), "different value")


def only(tally: Tally) -> Observations:
    (found,) = tally.take()
    return found


def test_nothing_gathered_is_nothing_to_publish() -> None:
    assert Tally().take() == []


def test_counts_are_kept_by_domain_operation_and_revision() -> None:
    tally = Tally()
    tally.count(route(), "balance", "compared", "equal")
    tally.count(route(), "balance", "compared", "unclear")
    tally.count(route(2), "balance", "dropped")
    tally.count(route(), "statement", "fallbacks")
    tally.count(route(domain="shop"), "balance", "shadow_skipped")
    members, shop = tally.take()
    assert (members.domain, shop.domain) == ("members", "shop")
    assert [(r.operation, r.revision) for r in members.reports] == [("balance", 1), ("balance", 2), ("statement", 1)]
    first = members.reports[0]
    assert (first.compared, first.equal, first.unclear, first.dropped) == (2, 1, 1, 0)
    assert tally.take() == []


def test_latencies_and_errors_are_counted_by_side() -> None:
    tally = Tally()
    tally.answered(route(), "balance", Side.SOURCE, 0.001, failed=False)
    tally.answered(route(), "balance", Side.TARGET, 0.001, failed=True)
    tally.answered(route(), "balance", Side.TARGET, 1_000.0, failed=False)
    (report,) = only(tally).reports
    assert (sum(report.source_latency), sum(report.target_latency), report.target_latency[-1]) == (1, 2, 1)
    assert (report.source_errors, report.target_errors) == (0, 1)


def test_mismatches_and_what_was_ignored_are_counted_by_cause() -> None:
    tally = Tally()
    tally.mismatched(route(), mismatch(1), ["total: different value", "name: missing at target"])
    tally.mismatched(route(), mismatch(2), ["total: different value"])
    tally.ignored(route(), "balance", "ignored: lag")
    found = only(tally)
    (report,) = found.reports
    assert (report.compared, report.ignored) == (3, 1)
    assert report.causes == {"total: different value": 2, "name: missing at target": 1, "ignored: lag": 1}
    assert [one.entity for one in found.mismatches] == ["1", "2"]


def test_threads_lose_no_count() -> None:
    tally, taken = Tally(), list[Observations]()

    def work() -> None:
        for _ in range(2_000):
            tally.count(route(), "balance", "compared")

    def publish() -> None:
        while any(one.is_alive() for one in workers):
            taken.extend(tally.take())

    workers = [threading.Thread(target=work) for _ in range(4)]
    publisher = threading.Thread(target=publish)
    for thread in (*workers, publisher):
        thread.start()
    for thread in (*workers, publisher):
        thread.join()
    taken.extend(tally.take())
    assert sum(report.compared for one in taken for report in one.reports) == 8_000


def test_what_could_not_be_published_comes_again_with_what_came_since() -> None:
    tally = Tally()
    tally.answered(route(), "balance", Side.SOURCE, 0.001, failed=False)
    tally.mismatched(route(), mismatch(1), ["total: different value"])
    lost = only(tally)
    tally.answered(route(), "balance", Side.SOURCE, 0.002, failed=True)
    tally.mismatched(route(), mismatch(2), ["total: different value"])
    tally.give_back(lost)
    found = only(tally)
    (report,) = found.reports
    assert (report.compared, report.source_errors, sum(report.source_latency)) == (2, 1, 2)
    assert report.causes == {"total: different value": 2}
    assert [one.entity for one in found.mismatches] == ["1", "2"]
    tally.give_back(found)
    assert only(tally) == found


def test_while_the_ledger_is_away_the_newest_revisions_are_kept() -> None:
    tally = Tally()
    many = module.REPORTS_AT_MOST + 10
    tally.give_back(Observations("members", [ReadReport("balance", n) for n in range(many)], []))
    revisions = {report.revision for report in only(tally).reports}
    assert revisions == set(range(10, many))


def test_mismatches_and_causes_are_bounded_and_counts_are_not() -> None:
    tally = Tally()
    many = 2 * max(module.MISMATCHES_AT_MOST, module.CAUSES_AT_MOST)
    for number in range(many):
        tally.mismatched(route(), mismatch(number), [f"map.key-{number}: different value"])
    found = only(tally)
    (report,) = found.reports
    assert report.compared == many
    assert len(found.mismatches) == module.MISMATCHES_AT_MOST
    assert len(report.causes) == module.CAUSES_AT_MOST + 1
    assert sum(report.causes.values()) == many
    tally.mismatched(route(), mismatch(0), ["x: different value"])
    tally.give_back(found)
    merged = only(tally)
    assert len(merged.mismatches) == module.MISMATCHES_AT_MOST
    assert sum(merged.reports[0].causes.values()) == many + 1
