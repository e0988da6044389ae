"""Progress bars: numbers from the workflow's answer and from heartbeats."""

from __future__ import annotations

import pytest

from midflight.contracts.domain import CollectionProgress, DomainState, DomainStatus
from midflight.core.phase import Phase
from starter.bars import Bar, bars, lag
from starter.look import Look
from starter.moves import Overview, Work

OVERVIEW = Overview(domain="d", workflow_id="midflight/d", run_id="r", execution="running", lag_seconds=7.0)


def seen(phase: Phase = Phase.BACKFILL, *works: Work, **more: object) -> Look:
    collections = {"a": CollectionProgress(expected=100), "b": CollectionProgress(expected=9, documents=10, done=True)}
    status = DomainStatus(state=DomainState(domain="d", phase=phase, collections=collections))
    return Look.model_validate({"overview": OVERVIEW, "status": status, "works": works, **more})


def copying(documents: int, per_second: float, collection: str = "a") -> Work:
    beat = {"doing": "backfill", "collection": collection, "documents": documents, "per_second": per_second}
    return Work(activity="copy_partition", beat=beat)


def test_finished_and_running_partitions_are_counted_together() -> None:
    bar, done = bars(seen(Phase.BACKFILL, copying(10, 5.0), copying(20, 15.0), copied={"a": 30}))

    assert (bar.name, bar.done, bar.total, bar.per_second) == ("a", 60, 100, 20.0)
    assert bar.seconds_left == 2.0
    assert (done.finished, done.share) == (True, 1.0)


def test_a_bar_is_full_only_when_the_collection_is_finished() -> None:
    assert Bar("a", done=120, total=100).share < 1
    assert Bar("a", done=120, total=120, finished=True).share == 1


def test_without_a_rate_nobody_guesses_the_time_left() -> None:
    assert Bar("a", done=1, total=10).seconds_left is None


def test_an_empty_collection_shows_no_progress_before_it_is_finished() -> None:
    assert Bar("a", done=0, total=0).share == 0


def test_a_parity_run_has_a_bar_over_all_documents() -> None:
    work = Work(activity="compare_range", beat={"doing": "verify", "documents": 5, "per_second": 2})

    compared = bars(seen(Phase.VERIFY, work, compared=15))[-1]

    assert (compared.name, compared.done, compared.total, compared.finished) == ("compared", 20, 110, False)


def test_without_an_answer_there_are_no_bars() -> None:
    assert bars(Look(overview=OVERVIEW)) == []


@pytest.mark.parametrize(("beat", "expected"), [(0.4, 0.4), (None, 7.0)])
def test_lag_is_that_of_the_tails_last_heartbeat_or_what_was_recorded(beat: float | None, expected: float) -> None:
    tail = Work(activity="follow", beat={"doing": "tail", "lag_seconds": beat})

    assert lag(seen(Phase.VERIFY, tail)) == expected
