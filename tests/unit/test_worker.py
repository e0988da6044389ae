"""A worker that was told to stop ends, whatever the SDK does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HANGING = """
import asyncio, os, signal
from contextlib import asynccontextmanager
import worker

async def connect(*_):
    return None

@asynccontextmanager
async def hanging(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    yield
    await asyncio.Event().wait()

worker.connect, worker.build_worker, worker.PATIENCE_SECONDS = connect, hanging, 0.05
worker.exit_now(worker.main())
"""


def test_a_shutdown_that_hangs_is_given_up() -> None:
    environment = {**os.environ, "MIDFLIGHT_GRACEFUL_SHUTDOWN_SECONDS": "0.1"}
    ended = subprocess.run(
        [sys.executable, "-c", HANGING],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "worker_stop_given_up" in ended.stdout + ended.stderr
