"""What is seen while the moves run: one line a domain, and what happens scrolling above it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.traveller import Traveller
from midflight.core.phase import ORDER, Phase

REFRESH_PER_SECOND = 4
COLOURS = {"running": "green", "waiting": "cyan", "paused": "yellow", "rolled_back": "yellow", "attention": "red"}


class View:
    """Rendered anew at every refresh, from what the travellers last saw."""

    def __init__(self, travellers: Sequence[Traveller]) -> None:
        self._travellers = travellers

    def __rich__(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("domain", "phase", "", "state", "copied", "lag", "waiting for"):
            table.add_column(name, no_wrap=True, justify="right" if name in ("copied", "lag") else "left")
        for traveller in self._travellers:
            table.add_row(*_line(traveller))
        return Group(Text(), table)

    def live(self, console: Console) -> Live:
        """As a live display."""
        return Live(self, console=console, refresh_per_second=REFRESH_PER_SECOND, transient=True)


def _line(traveller: Traveller) -> list[RenderableType]:
    state = traveller.state
    lag = state.evidence.lag_seconds if state.evidence else None
    return [
        Text(traveller.domain, style="bold"),
        state.phase.value,
        ProgressBar(total=len(ORDER) - 1, completed=_done(traveller), width=20),
        Text(state.state, style=COLOURS.get(state.state, "")),
        f"{traveller.copied:,}" if traveller.copied else "",
        f"{lag:.1f} s" if lag is not None else "",
        Text(state.waiting_for[:50], style="dim"),
    ]


def _done(traveller: Traveller) -> float:
    """Phases behind, and within the backfill the share that is copied."""
    state = traveller.state
    done = float(ORDER.index(state.phase))
    expected = sum(c.expected for c in state.collections.values())
    if state.phase is Phase.BACKFILL and expected:
        done += min(1.0, traveller.copied / expected)
    return done
