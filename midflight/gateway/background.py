"""An engine in a thread of its own, for applications of threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from midflight.errors import GatewayMisused
from midflight.gateway.engine import Engine

T = TypeVar("T")


class Background:
    """A daemon thread with an event loop and the engine on it, and the small pool of threads for dark reads."""

    def __init__(self, make: Callable[[], Engine], pool_size: int) -> None:
        self._stop: asyncio.Event = asyncio.Event()
        self._pool = ThreadPoolExecutor(pool_size, thread_name_prefix="midflight-dark")
        made: Future[Engine] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._live(make, made)), name="midflight", daemon=True
        )
        self._thread.start()
        self.engine = made.result()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.engine.loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the engine's loop and wait here; an interrupt of this thread cancels it."""
        running = self.submit(work)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def in_pool(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run it in the small pool. Only on the engine's loop."""
        return self.engine.loop.run_in_executor(self._pool, work)

    def close(self) -> None:
        """Close the engine, end the thread. Repeating is safe."""
        if self._thread.is_alive():
            self.wait(self.engine.close())
            self.engine.call_soon(self._stop.set)
            self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _live(self, make: Callable[[], Engine], made: Future[Engine]) -> None:
        try:
            made.set_result(make())
        except BaseException as error:
            made.set_exception(error)
            raise
        await self._stop.wait()


def refuse_in_loop() -> None:
    """GatewayMisused where waiting would stop an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise GatewayMisused(
        "The sync Gateway was called inside a running event loop, which it would stop.",
        next_step="Use AsyncGateway there, or call it in a thread (asyncio.to_thread).",
    )
