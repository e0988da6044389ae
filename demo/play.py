"""The script from the first document to the verdict."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from demo.four import FourMoves
from demo.moves import Voice
from demo.plans import shop_plan
from demo.shopping import ShopFailed, Shopping, Traffic
from demo.summary import Summary
from demo.writing import Pace
from embedded import Servers


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    pace: Pace = field(default_factory=Pace)
    traffic: Traffic = field(default_factory=Traffic)


def play(console: Console, home: Path, servers: Servers, size: Size = Size()) -> Summary:
    """The loyalty application's domain moves under its clients' requests; then four others, under a writer's."""
    began, voice = time.monotonic(), Voice(console)
    if servers.temporal_ui:
        console.print(f"Temporal Web: {servers.temporal_ui}", highlight=False)
    shopping = Shopping(voice, home / "shop", servers, shop_plan(), size.traffic)
    four = FourMoves(voice, home, servers, size.pace)
    summary = Summary(seconds=0, verdicts=[], reports=[], temporal_ui=servers.temporal_ui)
    try:
        with shopping.open():
            summary.add(asyncio.run(shopping.move()))
            shopping.audit("at the end")
        summary.traffic = shopping.report()
        summary.add(four.run())
        summary.verdicts = four.verdicts()
    except ShopFailed as failure:
        summary.doubts.append(str(failure))
    summary.seconds = time.monotonic() - began
    return summary
