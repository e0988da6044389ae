"""The writer's process, seen from the script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 20.0


class WriterProcess:
    """Started at once; `stop` says how it ended."""

    def __init__(
        self, journals: Path, database: str, per_second: float, environment: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo.writer", str(journals), database, str(per_second)],
                stdin=subprocess.PIPE,  # closed when we die: then it stops by itself
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it still writes."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Ask it to end and wait; its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
