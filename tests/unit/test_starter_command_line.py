"""The command line before it reaches any server: usage, plans, settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from starter.__main__ import run
from starter.plan import read_plan

PLANS = Path(__file__).parents[2] / "plans"
NOBODY = "127.0.0.1:1"
"""No Temporal answers here."""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No servers of this checkout are found."""
    monkeypatch.setenv("MIDFLIGHT_STATE_DIR", str(tmp_path / "state"))


def plan_with(tmp_path: Path, old: str, new: str) -> str:
    """A copy of an example plan with one change."""
    text = (PLANS / "members.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "plan.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", sorted(path.name for path in PLANS.glob("*.yaml")))
def test_every_example_plan_is_good(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "check", str(PLANS / name), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["fingerprint"]
    assert about["tables"]


def test_a_plan_that_is_not_there_is_said_to_be_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["start", "nowhere.yaml"]) == 3
    assert "There is no plan at nowhere.yaml." in capsys.readouterr().err


def test_a_directory_is_not_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "check", str(tmp_path)]) == 3
    assert "is a directory" in capsys.readouterr().err


def test_a_plan_that_is_not_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"\xff\xfe\x00")

    assert run(["plan", "check", str(path)]) == 3
    assert "not UTF-8" in capsys.readouterr().err


def test_a_plan_that_may_not_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)

    assert run(["plan", "check", "plans/members.yaml"]) == 3
    assert "cannot be read: Permission denied" in capsys.readouterr().err


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("domain: [members\nsource: {", encoding="utf-8")

    assert run(["start", str(path)]) == 3
    assert "line" in capsys.readouterr().err


def test_an_unknown_key_is_refused_with_the_nearest_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["start", plan_with(tmp_path, "owner:", "ownr:")]) == 3
    assert "owner" in capsys.readouterr().err


def test_an_error_is_a_json_object_on_stdout_when_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "check", "nowhere.yaml", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["kind"], error["exit_code"]) == ("PlanError", 3)
    assert error["next_step"]


def test_the_schema_of_plans_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Midflight plan"


def test_no_temporal_is_said_with_the_address_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIDFLIGHT_TEMPORAL_ADDRESS", NOBODY)

    assert run(["list"]) == 6
    error = capsys.readouterr().err
    assert NOBODY in error
    assert "midflight up" in error


def test_a_setting_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIDFLIGHT_TEMPORAL_ADRESS", NOBODY)

    assert run(["settings"]) == 8
    assert "Did you mean MIDFLIGHT_TEMPORAL_ADDRESS?" in capsys.readouterr().err


def test_settings_hide_addresses_of_stores(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MIDFLIGHT_STORE_PG_MAIN", "postgresql://u:topsecret@h/d")

    assert run(["settings", "--json"]) == 0
    out = capsys.readouterr().out
    assert "topsecret" not in out
    assert "MIDFLIGHT_STORE_PG_MAIN" in {row["name"] for row in json.loads(out)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["approve", "members"],
        ["approve", "members", "everything", "--reason", "x"],
        ["rollback", "members", "--to", "yesterday", "--reason", "x"],
        ["rollback", "members", "--to", "verify"],
        ["pacing", "members"],
        ["pacing", "members", "--rate", "5", "--unlimited"],
        ["pacing", "members", "--batch", "0"],
    ],
)
def test_wrong_usage_ends_with_2_and_leaves_stdout_empty(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage" in err


def test_nothing_to_stop_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": False}


def test_a_plan_is_read_from_its_file() -> None:
    assert read_plan(PLANS / "members.yaml").domain == "members"
