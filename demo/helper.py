"""A process of the demonstration's own: started, asked to end, killed, stopped and continued."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30.0


class Helper:
    """`python -m MODULE ARGUMENTS`; it ends when its standard input is closed, so also when we die."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment, self.log = dict(environment), log
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running.pid

    def start(self) -> None:
        """Start it, or start it again."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=ROOT,
                env=self._environment,
                start_new_session=True,
                text=True,
            )

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def ended(self) -> int | None:
        """Its exit code, once it has one."""
        return self._running.poll()

    def tell(self, word: str) -> str:
        """Say a word to it and wait for its answer; empty when it is gone."""
        process = self._running
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(word + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return ""
        return process.stdout.readline().strip()

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP)."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._running.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        self._running.kill()
        self._end()

    def stop(self) -> int:
        """Ask it to end, and wait; its exit code (-9 where it had to be killed)."""
        process = self._running
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(STOP_SECONDS)
        except BrokenPipeError:
            pass
        except subprocess.TimeoutExpired:
            process.kill()
        return self._end()

    def _end(self) -> int:
        process = self._running
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it was never started"
        return self._process
