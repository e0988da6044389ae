"""One process of the application.

    python -m examples.loyalty.server PORT

It ends on SIGTERM; with `--with-parent` also when its standard input is closed, so when whoever started it dies.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from examples.loyalty import mongo, moving, postgres
from examples.loyalty.app import create
from examples.loyalty.config import Config
from examples.loyalty.model import Loyalty

KEEP_ALIVE_SECONDS = 75


def application(config: Config) -> FastAPI:
    """The application as configured."""
    if config.mode == "mongo":
        return create(lambda _app: _before(config))
    if config.mode == "postgres":
        return create(lambda _app: _after(config))
    return moving.application(config)


@asynccontextmanager
async def _before(config: Config) -> AsyncIterator[Loyalty]:
    async with mongo.connect(config.mongo) as client:
        yield mongo.MongoLoyalty(client, client[config.database])


@asynccontextmanager
async def _after(config: Config) -> AsyncIterator[Loyalty]:
    async with postgres.connect(config.postgres, config.schema) as pool:
        yield postgres.PostgresLoyalty(pool)


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    options = uvicorn.Config(
        application(Config.from_environment()),
        port=int(arguments[0]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=20,
    )
    server = uvicorn.Server(options)
    if arguments[1:] == ["--with-parent"]:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run()


def _stop_with_parent(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main(sys.argv[1:])
