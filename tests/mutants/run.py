"""Apply one mutant to a copy of the tree and run the tests that must notice it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".midflight", ".mypy_cache", ".ruff_cache", ".pytest_cache", "*.pyc")
FAILED = 1
"""Pytest's exit code where tests ran and failed; anything else (nothing collected, an import error) proves nothing."""


@dataclass(frozen=True)
class Edit:
    """A text of a file, which occurs once, and what stands there instead."""

    file: str
    before: str
    after: str


@dataclass(frozen=True)
class Mutant:
    """A rule of the protocol, how it is removed, and the tests that turn red."""

    rule: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant."""

    mutant: Mutant
    noticed: bool
    output: str


def run(mutant: Mutant) -> Outcome:
    """Copy, break, test."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        for edit in mutant.edits:
            _apply(tree, edit)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return Outcome(mutant, done.returncode == FAILED, done.stdout[-3000:] + done.stderr[-1000:])


def _apply(tree: Path, edit: Edit) -> None:
    path = tree / edit.file
    text = path.read_text()
    if text.count(edit.before) != 1:
        raise ValueError(f"{edit.file} holds {text.count(edit.before)} times: {edit.before!r}")
    path.write_text(text.replace(edit.before, edit.after))
