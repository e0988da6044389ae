"""The composition root: settings, adapters, activities and workflows become a worker. Nothing imports this module."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from activities.interceptor import MidflightInterceptor
from activities.registry import activities
from midflight import collector, telemetry
from midflight.errors import MidflightError
from midflight.parity.ports import ParityStores
from midflight.settings import Settings
from midflight.stores import ConfiguredStores
from workflows.client import connect
from workflows.registry import WORKFLOWS, runner

log = structlog.get_logger("midflight.worker")

PATIENCE_SECONDS = 20.0
"""So much longer than its graceful time a shutdown may take before the process ends anyway."""


def build_worker(client: Client, settings: Settings, stores: ParityStores) -> Worker:
    """A worker for everything, on the settings' task queue."""
    throttle = timedelta(seconds=settings.heartbeat_throttle_seconds)
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=activities(stores, settings.archive_dir),
        workflow_runner=runner(),
        interceptors=[MidflightInterceptor()],
        max_concurrent_activities=settings.max_concurrent_activities,
        max_heartbeat_throttle_interval=throttle,
        default_heartbeat_throttle_interval=throttle,
        graceful_shutdown_timeout=timedelta(seconds=settings.graceful_shutdown_seconds),
    )


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then let activities commit and end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    async with build_worker(client, settings, ConfiguredStores(settings)):
        log.info("worker_started", task_queue=settings.task_queue, temporal=settings.temporal_address)
        await stop.wait()
        log.info("worker_stopping", within_seconds=settings.graceful_shutdown_seconds)
        give_up = loop.call_later(settings.graceful_shutdown_seconds + PATIENCE_SECONDS, _give_up)
    give_up.cancel()
    log.info("worker_stopped")


def _give_up() -> None:
    """The SDK's shutdown can hang, on an activity that the server has forgotten. Whatever is left, others take over."""
    log.error("worker_stop_given_up", next_step="Nothing: what was under way goes on at another worker.")
    exit_now(1)


def main() -> int:
    """Run a worker; 0 after a clean stop, 1 when it could not start. (A stop that hangs ends with 1, too.)"""
    try:
        settings = Settings.from_environment()
        telemetry.configure(settings.log_format, settings.log_level)
        collector.relax()
        asyncio.run(run(settings))
    except MidflightError as error:
        log.error("worker_failed", error=type(error).__name__, message=str(error))
        return 1
    return 0


def exit_now(code: int) -> None:
    """End the process without the interpreter's finalisation, which the Temporal SDK does not always survive."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    exit_now(main())
