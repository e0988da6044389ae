"""Docs that cannot rot: what they name exists, what they show works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from midflight.core.plan_file import load_plan
from starter.__main__ import run

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
FILE = re.compile(r"`((?:midflight|activities|workflows|starter|embedded|demo|benchmarks|tests|plans|docs)/[\w./*-]+)`")
COMMAND = re.compile(
    r"(?:^ *|`)(?:midflight|python -m starter) ([a-z]+(?: (?:check|schema|list|show|waive|retry)\b)?)", re.M
)
TARGET = re.compile(r"\bmake ([a-z]+)\b")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = {name for name in FILE.findall(page.read_text()) if "<" not in name}
    missing = [name for name in named if not list(ROOT.glob(name.rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    written_as_code = " ".join(re.findall(r"`[^`]+`|^ *make .*$", page.read_text(), re.M))
    assert set(TARGET.findall(written_as_code)) <= known


def test_every_command_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named = {command for page in PAGES for command in COMMAND.findall(page.read_text())}
    assert {"start", "watch", "approve", "quarantine list"} <= named
    for command in sorted(named):
        assert run([*shlex.split(command), "--help"]) == 0, f"{command}: {capsys.readouterr().err}"


def test_the_plan_in_the_readme_is_a_good_plan() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    indented = "\n".join(line.removeprefix("   ") for line in shown.splitlines())
    assert load_plan(indented).domain == "orders"


def test_the_glossary_has_one_name_for_each_idea() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.M)
    words = [word.strip() for row in rows[2:] for word in row.split(",")]
    assert len(words) == len(set(words))
