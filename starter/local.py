"""Servers that `midflight up` left running here: a command finds them when no address is set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import embedded
from midflight.settings import Settings, child_environment

NOTE = "stores.json"
DEMO = "demo"
"""The demonstration's own place in the state directory: what `up` keeps there is left alone."""


@dataclass(frozen=True, slots=True)
class StoreNames:
    """Which store names of plans mean the servers here; by default those of the example plans."""

    sources: tuple[str, ...] = ("mongo-main",)
    targets: tuple[str, ...] = ("pg-main",)

    @classmethod
    def given(cls, sources: list[str] | None, targets: list[str] | None) -> StoreNames:
        """These names, or the default ones where none are given."""
        return cls(tuple(sources or cls().sources), tuple(targets or cls().targets))


def home(state_dir: Path) -> Path:
    """Where servers run: in the state directory, or, if only a kept demonstration runs, in its place there."""
    demo = state_dir / DEMO
    return demo if embedded.running(state_dir) is None and embedded.running(demo) is not None else state_dir


def settings() -> Settings:
    """The environment's settings; where it names no Temporal, with the addresses of the servers running here."""
    mine = Settings.from_environment()
    if mine.chosen("temporal_address"):
        return mine  # never mix somebody's Temporal with the stores of this directory
    where = home(mine.state_dir)
    servers = embedded.running(where)
    if servers is None:
        return mine
    return Settings.from_environment({**environment(where, servers), **child_environment({})})


def environment(state_dir: Path, servers: embedded.Servers) -> dict[str, str]:
    """The settings that lead to these servers."""
    names = remembered(state_dir)
    return servers.environment(names.sources, names.targets)


def worker_environment() -> dict[str, str]:
    """The environment for a worker started by hand."""
    mine = Settings.from_environment()
    where = home(mine.state_dir)
    servers = None if mine.chosen("temporal_address") else embedded.running(where)
    found = {} if servers is None else environment(where, servers)
    return {**found, **child_environment({})}


def remember(state_dir: Path, names: StoreNames) -> None:
    """Note the names for later commands."""
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / NOTE).write_text(json.dumps(asdict(names)))


def remembered(state_dir: Path) -> StoreNames:
    """The names that were noted."""
    note = state_dir / NOTE
    if not note.exists():
        return StoreNames()
    fields = json.loads(note.read_text())
    return StoreNames(tuple(fields["sources"]), tuple(fields["targets"]))
