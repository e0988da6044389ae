"""The writer's process, seen from the script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of it: the share of the documents, and the writer's rate."""

    share: float = 0.25
    writes_per_second: float = 160.0


class WriterProcess:
    """Started at once, stopped at the end of the block; `doubts` says what went wrong."""

    def __init__(self, journals: Path, database: str, pace: Pace, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "demo.writer", str(journals), database]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, str(pace.writes_per_second), str(pace.share)],
                stdin=subprocess.PIPE,  # closed when we die: then it stops by itself
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=dict(environment),
                start_new_session=True,
            )

        self.doubts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ask it to end and wait. An end of its own, or a failure, is a doubt."""
        died = self._process.poll() is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        if died:
            self.doubts.append(f"the writer died; see {self._log}")
        elif (code := self._stopped()) != 0:
            self.doubts.append(f"the writer ended with {code}; see {self._log}")

    def _stopped(self) -> int:
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
