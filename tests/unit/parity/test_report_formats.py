"""JSON, JSON lines and text: what a program and a tired person read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from midflight.core.keys import key_bytes
from midflight.errors import RunUnknown
from midflight.parity.records import Cause, Kind, Mismatch, RunRecord
from midflight.parity.report import as_json, as_jsonl, as_text, build, gather, gathering
from midflight.records import KeyRange, ParityProgress
from tests.fixtures.parity_report import asked, clean, difference, history, mismatch, mismatches, record, report
from tests.unit.parity.memory import MemoryRuns

HOSTILE = "</script>\"'&<b>\x1b[31m\n\u202e"


def hostile() -> list[Mismatch]:
    field = difference(f"{HOSTILE}.3.{HOSTILE}", Kind.VALUE, HOSTILE, "x")
    return [mismatch(HOSTILE, HOSTILE, Cause.UNKNOWN, field)]


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_the_json_says_its_format_and_what_the_run_came_to() -> None:
    found = json.loads(as_json.render(report()))
    assert (found["format"], found["verdict"], found["domain"]) == ("parity-report/1", "fail", "loyalty")
    assert found["started_at"] == "2026-11-21T02:00:00.000Z"
    assert found["keys"] == {"suspect": 6, "settled": 84, "hot": 1, "cleared": 1, "repaired": 0}
    assert [one["level"] for one in found["levels"]] == ["structure", "census", "sample", "full", "invariants"]


def test_the_json_has_every_part_that_a_program_may_rely_on() -> None:
    found = json.loads(as_json.render(report()))
    assert set(found) >= {
        *("format", "domain", "run", "mode", "verdict", "headline", "next_steps", "started_at", "finished_at"),
        *("made_at", "seconds", "plan_fingerprint", "shown_fields", "levels", "entities", "walked", "keys"),
        *("causes", "ages", "census", "verified_by_same_code", "overlooked", "history"),
    }
    group = found["causes"][0]["groups"][0]
    assert set(group) >= {"entity", "field", "kind", "keys", "differences", "states", "patterns", "samples"}
    assert group["samples"][0]["key_bytes"] == key_bytes("m-00000").hex()
    assert group["samples"][0]["source"] == {"is": "integer", "value": None}


def test_the_json_of_an_open_run_has_no_end() -> None:
    assert json.loads(as_json.render(build(record(finished_at=None), [], [], asked())))["finished_at"] is None


def test_the_json_takes_any_name_and_any_key() -> None:
    rendered = as_json.render(build(record(), hostile(), [], asked()))
    assert rendered.isascii()
    (cause,) = json.loads(rendered)["causes"]
    assert cause["groups"][0]["entity"] == HOSTILE


# --- JSON lines -------------------------------------------------------------------------------------------------------


def test_every_mismatch_is_one_line_cleared_ones_too() -> None:
    lines = list(as_jsonl.lines(record(), mismatches(), asked()))
    assert len(lines) == len(mismatches())
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    assert {json.loads(line)["state"] for line in lines} == {"settled", "suspect", "hot", "cleared"}


def test_a_line_stands_for_itself() -> None:
    line = json.loads(next(as_jsonl.lines(record(), mismatches(), asked())))
    assert line["format"] == "parity-mismatch/1"
    assert (line["domain"], line["run"], line["entity"]) == ("loyalty", "nightly-2026-11-21", "members")
    assert line["source_version"] == "01" * 16
    assert [one["path"] for one in line["fields"]] == ["balance"]


def test_a_line_without_versions_says_null() -> None:
    one = mismatch("members", 1, Cause.UNKNOWN, source_version=None, target_version=None, token=None)
    line = json.loads(next(as_jsonl.lines(record(), [one], asked())))
    assert (line["source_version"], line["target_version"], line["token"]) == (None, None, None)


def test_a_name_cannot_break_a_line() -> None:
    (line,) = as_jsonl.lines(record(), hostile(), asked())
    assert line.isascii()
    assert json.loads(line)["fields"][0]["path"] == f"{HOSTILE}.3.{HOSTILE}"


# --- text -------------------------------------------------------------------------------------------------------------


def test_the_text_begins_with_the_verdict_and_what_to_do() -> None:
    lines = as_text.render(report()).splitlines()
    assert lines[0] == "FAIL  loyalty, run nightly-2026-11-21"
    assert lines[1] == "84 keys differ, and nothing that is on its way can change that."
    assert lines.index("What to do next") < lines.index("Levels") < lines.index("Mismatches by cause")


def test_the_text_of_a_pass_is_short() -> None:
    text = as_text.render(build(clean(), [], [], asked()))
    assert text.startswith("PASS  loyalty")
    assert "Nothing to do." in text
    assert "Mismatches" not in text
    assert len(text.splitlines()) < 35


def test_the_text_names_group_kind_states_and_samples() -> None:
    text = as_text.render(report())
    assert "lost update: 41 keys" in text
    assert "  * members: balance (value): 41 keys (41 settled)" in text
    assert "  * transactions: the whole key is extra: 3 keys (3 settled)" in text
    assert '      "shop 0": text, 44 characters → text, 20 characters' in text
    assert "    looks like truncation (23 keys)" in text


def test_a_samples_path_is_said_where_it_is_not_the_groups() -> None:
    assert "50001 lines.0.price: decimal → decimal" in as_text.render(report())


def test_what_the_comparison_cannot_prove_is_said() -> None:
    assert "Verified by the same code\n" in as_text.render(report())
    assert "\n  members.tier\n" in as_text.render(report())
    assert json.loads(as_json.render(report()))["verified_by_same_code"] == ["members.tier"]


def test_nothing_in_the_text_steers_a_terminal() -> None:
    run = clean(domain=HOSTILE, run=HOSTILE, plan_fingerprint=HOSTILE)
    text = as_text.render(build(run, hostile(), [], asked()))
    assert all(line.isprintable() for line in text.split("\n"))


def test_the_text_fits_a_terminal_except_for_tables() -> None:
    prose = [line for line in as_text.render(report()).splitlines() if "  " not in line.strip()]
    assert max(map(len, prose)) <= 100


# --- from a store -----------------------------------------------------------------------------------------------------


def shelved(run: RunRecord, ranges: Mapping[str, list[ParityProgress]]) -> MemoryRuns:
    """A store with the run, its mismatches, and the history before it."""
    runs = MemoryRuns({(one.domain, one.run): one for one in (*reversed(history()), run)})
    runs.found[run.domain, run.run] = {(one.entity, one.key): one for one in mismatches()}
    for entity, places in ranges.items():
        runs.places[run.domain, run.run, entity] = {one.number: one for one in places}
    return runs


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PAGE", 7)


def walked(number: int, compared: int, *, done: bool, **tally: Any) -> ParityProgress:
    return ParityProgress(number, KeyRange(), None, 1, compared, compared, done, tally)


@pytest.mark.usefixtures("small_pages")
async def test_a_kept_run_gives_the_same_report_page_by_page() -> None:
    shelf = shelved(record(), {})
    in_order = sorted(mismatches(), key=lambda one: (one.entity, one.key))
    kept = await gather(shelf, "loyalty", "nightly-2026-11-21", asked())
    whole = build(record(), in_order, history(), asked())
    assert as_json.document(kept) == as_json.document(whole)
    lines = [line async for line in as_jsonl.stream(shelf, "loyalty", "nightly-2026-11-21", asked())]
    assert lines == list(as_jsonl.lines(record(), in_order, asked()))


async def test_an_open_run_tells_how_far_its_ranges_are() -> None:
    ranges = {
        "members": [
            walked(0, 50, done=False),
            walked(1, 100, done=True, skipped=10, quarantined=1),
            walked(2, 100, done=True),
            walked(3, 20, done=False),
        ],
        "merchants": [walked(0, 0, done=False)],
    }
    running = record(finished_at=None, levels=(), entities=(), census=())
    shelf = shelved(running, ranges)
    found = await gather(shelf, "loyalty", "nightly-2026-11-21", asked(), entities=["members", "merchants"])
    assert found.walked == {"members": 0.5, "merchants": 0.0}
    (members, merchants) = found.record.entities
    assert (members.source, members.target, members.compared, members.skipped) == (220, 50, 209, 10)
    assert (members.suspects, members.quarantined, merchants.compared, merchants.settled) == (6, 1, 0, 24)
    assert as_text.render(found).startswith("INCOMPLETE  loyalty")


async def test_an_unknown_run_stays_unknown() -> None:
    with pytest.raises(RunUnknown):
        await gather(shelved(record(), {}), "loyalty", "another", asked())
