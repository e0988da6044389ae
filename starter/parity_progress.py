"""How far a run of parity is, on stderr: a line that is written over on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time

from midflight.parity.pace import Progress
from midflight.parity.report.wording import counted, duration
from starter.bars import Bar

ON_TERMINAL_SECONDS = 0.2
IN_LOG_SECONDS = 10.0
_CLEAR = "\r\x1b[2K"


class Teller:
    """Listens to a run. Used as a context, it leaves the terminal's line clean."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._every = ON_TERMINAL_SECONDS if self._terminal else IN_LOG_SECONDS
        self._told_at = 0.0 if self._terminal else time.monotonic()

    def __enter__(self) -> Teller:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def __call__(self, progress: Progress) -> None:
        """Tell it, unless something was told just now."""
        now = time.monotonic()
        if now - self._told_at < self._every:
            return
        self._told_at = now
        start, end = (_CLEAR, "") if self._terminal else ("", "\n")
        sys.stderr.write(f"{start}{line(progress)}{end}")
        sys.stderr.flush()


def line(progress: Progress) -> str:
    """One line: place, share, keys, rate, time left, suspects."""
    bar = Bar(progress.entity, progress.keys, progress.of_about, progress.documents_per_second)
    left = "" if bar.seconds_left is None else f", {duration(bar.seconds_left)} left"
    suspects = f", {counted(progress.suspects, 'suspect')}" if progress.suspects else ""
    what = f"{progress.run}: {progress.entity} ({progress.phase})"
    of_about = f"{progress.keys:,} of about {progress.of_about:,} keys"
    return f"{what} {bar.share:.0%}, {of_about}, {progress.documents_per_second:,.0f}/s{left}{suspects}"
