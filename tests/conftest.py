"""One shared stack for the whole session, and an environment free of our own settings."""

from __future__ import annotations

import os

import pytest

from tests.fixtures.shared_stack import SharedStack

pytest_plugins = ["tests.fixtures.fix_servers", "tests.fixtures.fix_rig"]
pytest.register_assert_rewrite("tests.fixtures.handovers")  # its assertions show what they compared

SHARED = pytest.StashKey[SharedStack]()
NEEDS_SERVERS = "servers"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the shared servers once, and only when a collected test asks for them."""
    config = session.config
    if SHARED in config.stash or _is_xdist_worker(config) or not _needed(session):
        return
    _start(config)


def pytest_configure(config: pytest.Config) -> None:
    """The xdist controller collects nothing itself: it starts the servers before its workers."""
    if not _is_xdist_worker(config) and config.getoption("numprocesses", None) and not config.option.collectonly:
        _start(config)
    elif _is_xdist_worker(config):
        _scrub()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if SHARED in config.stash:
        config.stash[SHARED].stop()


def _start(config: pytest.Config) -> None:
    shared = config.stash[SHARED] = SharedStack()
    shared.start()
    _scrub()


def _needed(session: pytest.Session) -> bool:
    return not session.config.option.collectonly and any(
        NEEDS_SERVERS in getattr(item, "fixturenames", ()) for item in session.items
    )


def _is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _scrub() -> None:
    """No setting of whoever runs the tests reaches a test; the shared stack already knows the addresses."""
    for name in [name for name in os.environ if name.startswith("MIDFLIGHT_")]:
        if not name.startswith("MIDFLIGHT_TEST_"):
            del os.environ[name]
