"""A profile as text that can be kept: no directories in it, the functions that cost most first."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

FUNCTIONS = 40


class InlineExecutor(ThreadPoolExecutor):
    """Runs what `asyncio.to_thread` hands over in the loop's own thread, where the profiler sees it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """At once."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def write_profile(profiler: cProfile.Profile, path: Path) -> None:
    """The functions with the most time of their own."""
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(FUNCTIONS)
    # Addresses of objects differ from run to run and say nothing.
    path.write_text(re.sub(r" at 0x[0-9a-f]+", "", text.getvalue()).strip() + "\n", encoding="utf-8")
