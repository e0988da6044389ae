"""The load generator: a process of its own, as many clients would be.

    python -m examples.loyalty.load FOLDER PORT,PORT --rate 160 --sessions 24 --members 600 --seed 1

It writes its records to FOLDER (see `examples.loyalty.records`). `pause`, `resume` and `stop` on its standard input are
answered with the same word when done; so does it end when that input is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import aiohttp
import uvloop

from examples.loyalty.client import ANSWER_SECONDS, Client, Processes
from examples.loyalty.pacer import Pacer
from examples.loyalty.records import Records
from examples.loyalty.seed import member_id
from examples.loyalty.traffic import Session, Surroundings

HOT_MEMBERS = 12


async def run(options: argparse.Namespace) -> None:
    """Send until stopped."""
    async with AsyncExitStack() as stack:
        records = Records(options.folder)
        stack.callback(records.close)
        pacer = Pacer(options.rate)
        sessions = await _sessions(stack, options, Surroundings(pacer, records, _members(HOT_MEMBERS)))
        running = asyncio.gather(*(session.run() for session in sessions))
        listening = asyncio.create_task(_listen(pacer))
        await running
        await listening


async def _sessions(stack: AsyncExitStack, options: argparse.Namespace, shared: Surroundings) -> list[Session]:
    connector = await stack.enter_async_context(aiohttp.TCPConnector(limit=0, keepalive_timeout=30))
    own = [_members(options.members)[HOT_MEMBERS + n :: options.sessions] for n in range(options.sessions)]
    processes, sessions = Processes(options.ports, Random(options.seed)), []
    for number, members in enumerate(own):
        rng = Random(f"{options.seed}/{number}")
        http = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # addresses instead of names keep cookies too
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=3),
        )
        await stack.enter_async_context(http)
        client = Client(http, processes, shared.records)
        sessions.append(Session(f"{options.seed}-{number:02d}", client, members, shared, rng))
    return sessions


def _members(count: int) -> Sequence[str]:
    return [member_id(number) for number in range(count)]


async def _listen(pacer: Pacer) -> None:
    """Obey what comes in; the end of the input means `stop`."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while not pacer.stopped:
            command = (await reader.readline()).decode().strip()
            await _obey(pacer, command)
            print(command, flush=True)
    finally:
        pacer.stop()  # also where nobody listens to our answers any more
        transport.close()


async def _obey(pacer: Pacer, command: str) -> None:
    match command:
        case "pause":
            await pacer.pause()
        case "resume":
            pacer.resume()
        case _:
            pacer.stop()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.loyalty.load")
    parser.add_argument("folder", type=Path)
    parser.add_argument("ports", type=lambda text: [int(port) for port in text.split(",")])
    parser.add_argument("--rate", type=float, default=160.0)
    parser.add_argument("--sessions", type=int, default=24)
    parser.add_argument("--members", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    uvloop.run(run(_options(sys.argv[1:])))
