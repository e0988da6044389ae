"""`midflight parity run` and `watch`, killed and interrupted in the middle: what is kept, and how it goes on."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.parity_cli_kit import DIFFERENT, INCOMPLETE, INTERRUPTED, REFUSED, Office, copied
from tests.fixtures.cli import Ended
from tests.fixtures.rig import Rig, until

DOCUMENTS = 2_500
"""Two blocks of a range."""
FULL = ("--frozen", "--level", "census", "--level", "full")
JSON = ("--format", "json")
SLOWLY = ("--rate", "50")
"""After its first block such a run rests for many seconds: there it is caught."""


@pytest.fixture
async def office(prepared: Rig, tmp_path: Path) -> Office:
    """A copied shop with a few differences at the beginning and at the end of the keys. Nobody writes any more."""
    office = Office(prepared, tmp_path)
    await copied(prepared, range(DOCUMENTS))
    office.tamper("update shop.orders set version = 9 where id = %s", [3, 2_003, 2_400])
    return office


async def test_a_run_that_is_killed_or_interrupted_in_the_middle_comes_to_what_a_whole_one_comes_to(
    office: Office,
) -> None:
    """Red if a range begins anew: then 2,000 keys more are compared than there are."""
    office.tamper("insert into shop.orders (id) values (%s)", [DOCUMENTS + 1])
    whole = await office("run", "--run", "whole", *FULL, *JSON)
    assert (whole.code, whole.data["keys"]["settled"]) == (DIFFERENT, 4)
    runs = {name: await office.start("run", "--run", name, *FULL, *SLOWLY) for name in ("killed", "interrupted")}
    for name in runs:
        await office.in_the_middle(name)

    runs["killed"].signal(signal.SIGKILL)
    assert (await runs["killed"].ended()).code == -signal.SIGKILL
    runs["interrupted"].signal(signal.SIGINT)
    interrupted = await runs["interrupted"].ended()
    assert (interrupted.code, interrupted.out) == (INTERRUPTED, "")
    shut = await office("gate")
    assert (shut.code, "has not ended" in shut.out) == (INCOMPLETE, True)

    other = await office("run", "--run", "killed", "--level", "sample")
    assert (other.code, "was begun with the levels census, full" in other.err) == (REFUSED, True)
    again = {
        "killed": await office("run", "--run", "killed", "--frozen", *JSON),
        "interrupted": await office(*told(interrupted), *JSON),
    }
    for name, ended in again.items():
        assert essence(ended) == essence(whole)
        assert office.places(name) == office.places("whole")
        assert found(office, name) == found(office, "whole")


def told(ended: Ended) -> list[str]:
    """The command that goes on, as the last line says it: without the program, its group and the domain."""
    words = shlex.split(ended.err.splitlines()[-1].partition("To go on: ")[2])
    assert words[:2] == ["midflight", "parity"]
    assert words[3] == "orders"
    return [words[2], *words[4:]]


def essence(ended: Ended) -> Any:
    """What the report says of the stores: not when, how long, by which name and token."""
    report = ended.data
    for level in report["levels"]:
        level["details"].pop("token", None)
    said = ("verdict", "headline", "levels", "entities", "keys", "census", "overlooked")
    return ended.code, {part: report[part] for part in said}


def found(office: Office, run: str) -> list[tuple[Any, ...]]:
    return office.rig.query(
        "select entity, key, state, kind, cause, differences from midflight.parity_mismatches"
        f" where run = '{run}' order by entity, key"
    )


async def test_a_watch_that_is_interrupted_says_what_it_has_seen(office: Office) -> None:
    between = await office.start("watch", "--json", "--every", "3600")
    await until(lambda: between.out.read_text().endswith("\n"), "the first run")
    between.signal(signal.SIGINT)
    ended = await between.ended()
    first, last = map(json.loads, ended.out.splitlines())
    assert (ended.code, first["verdict"]) == (DIFFERENT, "fail")
    assert last == {"stopped": True, "runs": {"fail": 1}, "exit_code": DIFFERENT, "not_ended": None}

    within = await office.start("watch", *SLOWLY)
    second = "select run from midflight.parity_reports where mode = 'watch' and finished_at is null"
    await until(lambda: office.rig.one(second), "the second watch")
    name = office.rig.one(second)
    await office.in_the_middle(name)
    within.signal(signal.SIGINT)
    ended = await within.ended()
    assert (ended.code, ended.out) == (
        INCOMPLETE,
        f"Stopped after 0 runs: none has ended. {name} was under way and is left without an end.\n",
    )
    shut = await office("gate")
    assert "has failed since" in shut.out, "the one without an end takes nothing back"
