"""What the parity commands decide without any store: how they end, what shuts a gate, which key is meant."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
import typer

from midflight.core.ejson import unpack
from midflight.core.keys import key_bytes
from midflight.parity.levels import LEVELS
from midflight.parity.pace import Progress
from midflight.parity.records import Level, LevelOutcome, RunRecord, Verdict
from starter import parity_keys
from starter.parity_exits import answer_of
from starter.parity_gate import DEMANDED, Demand, judge
from starter.parity_keys import possible_keys
from starter.parity_levels import LevelName
from starter.parity_progress import line

NOW = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
DEMAND = Demand(DEMANDED, timedelta(hours=1), "plan")
OID = "65920100a1b2c3d4e5f60718"


def ran(
    run: str = "r", mode: Literal["gate", "watch"] = "gate", *, minutes: int = 10, ended: bool = True, **wrong: Verdict
) -> RunRecord:
    """A run that began so many minutes ago; levels pass but those that are named."""
    began = NOW - timedelta(minutes=minutes)
    levels = tuple(LevelOutcome(level, wrong.get(level, Verdict.PASS)) for level in LEVELS) if ended else ()
    return RunRecord("shop", run, mode, began, NOW if ended else None, "plan", levels)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (ran(), 0),
        (ran(ended=False), 65),
        (ran(full=Verdict.INCOMPLETE), 65),
        (ran(full=Verdict.UNDECIDED), 66),
        (ran(full=Verdict.FAIL, census=Verdict.FAIL), 68),
        (ran(structure=Verdict.FAIL), 72),
        (ran(invariants=Verdict.FAIL), 80),
        (ran(full=Verdict.FAIL, structure=Verdict.FAIL, invariants=Verdict.UNDECIDED), 78),
    ],
)
def test_a_run_ends_with_a_bit_for_each_kind_of_bad_news(record: RunRecord, code: int) -> None:
    assert answer_of(record) == code


def test_a_repair_that_is_interrupted_says_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(work: Coroutine[Any, Any, Any]) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(parity_keys, "run", interrupted)
    with pytest.raises(typer.Exit) as ended:
        parity_keys.repair_run("shop", "r1", execute=True, person="ann", reason="spoilt")
    assert ended.value.exit_code == 130
    assert "the same command again does the rest" in capsys.readouterr().err


def test_the_names_of_levels_are_those_of_the_library() -> None:
    assert [one.value for one in LevelName] == list(LEVELS)


@pytest.mark.parametrize(
    ("history", "code", "says"),
    [
        ([], 65, "no gate run"),
        ([ran()], 0, ""),
        ([ran("w", "watch")], 65, "no gate run"),
        ([ran(minutes=61)], 65, "61 minutes old"),
        ([ran(ended=False), ran()], 65, "has not ended"),
        ([ran(full=Verdict.FAIL), ran()], 68, "level full is fail"),
        ([ran("w", "watch", full=Verdict.FAIL), ran()], 68, "w has failed since"),
        ([ran("w", "watch"), ran("v", "watch", full=Verdict.FAIL), ran()], 0, ""),
        ([ran("w", "watch", ended=False), ran("v", "watch", full=Verdict.FAIL), ran()], 68, "v has failed since"),
        ([ran(), ran("w", "watch", full=Verdict.FAIL)], 0, ""),
        ([ran(sample=Verdict.FAIL)], 0, ""),
    ],
)
def test_only_a_new_gate_run_that_passed_opens_a_gate(history: list[RunRecord], code: int, says: str) -> None:
    """Red when an old run was enough, or a watch run."""
    gate = judge(history, DEMAND, NOW)
    assert gate.answer == code
    assert says in "; ".join(gate.against)


def test_a_run_by_another_plan_or_without_a_demanded_level_opens_no_gate() -> None:
    other = Demand(DEMANDED, timedelta(hours=1), "another")
    levels: tuple[Level, ...] = ("sample",)
    small = RunRecord("shop", "r", "gate", NOW, NOW, "plan", (LevelOutcome("full", Verdict.PASS),))
    assert judge([ran()], other, NOW).against == ("r compared by another plan",)
    assert judge([small], Demand(levels, timedelta(hours=1)), NOW).against == ("r has no level sample",)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("42", 42),
        ('"42"', "42"),
        ("abc", "abc"),
        ("2.5", 2.5),
        (OID, unpack({"$oid": OID})),
        (f'ObjectId("{OID}")', unpack({"$oid": OID})),
        (f'{{"$oid": "{OID}"}}', unpack({"$oid": OID})),
        ('{"region": "eu", "number": 7}', {"region": "eu", "number": 7}),
        ('{"$oid": "short"', '{"$oid": "short"'),
        ("0x" + key_bytes("abc").hex(), "abc"),
    ],
)
def test_a_key_is_read_as_reports_write_it(text: str, first: object) -> None:
    assert possible_keys(text)[0] == key_bytes(first)


def test_what_may_be_an_id_or_a_number_may_be_text_too() -> None:
    assert possible_keys("42") == [key_bytes(42), key_bytes("42")]
    assert possible_keys(OID)[-1] == key_bytes(OID)


def test_progress_says_how_far_how_fast_and_how_long() -> None:
    told = line(Progress("r", "orders", "compare", 50_000, 200_000, 3, 12_500.0, 12.0))
    assert told == "r: orders (compare) 25%, 50,000 of about 200,000 keys, 12,500/s, 12.0 s left, 3 suspects"
