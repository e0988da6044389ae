"""`make demo`: start servers, play the script, tell what came of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

import embedded
from demo.play import play
from demo.writer import SOURCE, TARGET
from embedded import StateDirBusy, Workers, postgres
from midflight.errors import MidflightError
from midflight.settings import Settings
from starter.local import DEMO

REPORT = "demo.json"
GO_ON = """
All of it is still running. Look: `midflight list`, `midflight status members`, `midflight report members`.
Stop it: `midflight down`. (In a fresh checkout: `.venv/bin/midflight`.)"""


def run(keep: bool) -> int:
    """The whole demonstration; 0 when nothing is left to doubt, 1 otherwise. `keep` leaves all running."""
    console, settings = Console(), Settings.from_environment()
    home = settings.state_dir.resolve() / DEMO
    try:
        _start_afresh(home)
        workers = Workers(count=1, sources=(SOURCE,), targets=(TARGET,))
        with embedded.stack(home, keep=keep, ephemeral=True, workers=workers) as servers:
            summary = play(console, home, servers)
            summary.write(settings.state_dir / REPORT)
            summary.show(console)
    except MidflightError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    if keep:
        console.print(GO_ON, highlight=False)
    return 0 if summary.ok else 1


def _start_afresh(home: Path) -> None:
    """Nothing of an earlier demonstration may stay, also where that one was killed."""
    if embedded.running(home) is not None:
        raise StateDirBusy("A demonstration is still running.", next_step="Stop it with `midflight down`.")
    embedded.down(home)
    for folder in ("mongo", "journals", "shop", "archive"):
        shutil.rmtree(home / folder, ignore_errors=True)
    postgres.forget(home)
