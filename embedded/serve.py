"""The servers as one foreground process: `python -m embedded STATE_DIR OPTIONS_JSON`; `up` runs it."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from embedded.ports import Ports
from embedded.stack import Stack, StackOptions, Workers
from midflight.errors import MidflightError
from midflight.settings import Settings

LOOK_SECONDS = 0.5


def to_json(options: StackOptions) -> str:
    """Options as a command-line argument; they hold no secret."""
    return json.dumps(asdict(options))


def from_json(text: str) -> StackOptions:
    """The other way."""
    fields = json.loads(text)
    workers = fields["workers"]
    return StackOptions(
        ephemeral=fields["ephemeral"],
        ports=Ports(**fields["ports"]),
        search_attributes=fields["search_attributes"],
        workers=Workers(workers["count"], tuple(workers["sources"]), tuple(workers["targets"])),
    )


def serve(state_dir: Path, options: StackOptions) -> int:
    """Run until asked to stop (0), or until a server ends by itself (1)."""
    stop = _stop_on_signals()
    running = Stack(state_dir, options, Settings.from_environment())
    try:
        while not stop.wait(LOOK_SECONDS):
            if dead := running.supervisor.dead():
                _say(f"{dead[0].service.name} ended by itself:\n{dead[0].last_words()}")
                return 1
        return 0
    finally:
        running.close()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ask)
    return stop


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main(arguments: list[str]) -> int:
    """Exit code 0: stopped when asked; 1: failed, and said why on stderr."""
    try:
        return serve(Path(arguments[0]), from_json(arguments[1]))
    except MidflightError as error:
        _say(str(error))
        return 1
