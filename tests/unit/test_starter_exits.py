"""Exit codes: each error of ours ends with the code that docs/cli.md promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from embedded import ServerFailed, StateDirBusy
from midflight import errors
from starter.exits import ExitCode, NoWorker, ProblemFound, Refused, UnknownDomain, code_of
from starter.session import tell_error
from workflows.client import TemporalUnavailable

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PlanError("x"), 3),
        (Refused("x"), 4),
        (errors.AuthorityMoved("x"), 4),
        (errors.RunUnknown("x"), 4),
        (StateDirBusy("x"), 4),
        (UnknownDomain("x"), 5),
        (errors.DomainUnknown("x"), 5),
        (TemporalUnavailable("x"), 6),
        (ProblemFound("x"), 7),
        (errors.SettingsError("x"), 8),
        (errors.SourceUnavailable("x"), 9),
        (errors.TargetRefused("x"), 9),
        (ServerFailed("x"), 10),
        (NoWorker("x"), 11),
        (errors.MidflightError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: errors.MidflightError, code: int) -> None:
    assert code_of(error) == code


def test_the_documentation_lists_every_exit_code() -> None:
    listed = {int(number) for number in re.findall(r"^\| (\d+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)}

    assert listed == {int(code) for code in ExitCode}


def test_an_error_says_what_happened_and_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    code = tell_error(Refused("It is paused.", next_step="Resume it [first]."), as_json=False)

    out, err = capsys.readouterr()
    assert (code, out, err) == (4, "", "It is paused.\nResume it [first].\n")
