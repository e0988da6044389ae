"""Which servers a command finds by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import embedded
from midflight.settings import Settings
from starter import local
from starter.servers import _exports

HERE = embedded.Servers("127.0.0.1:5", "http://127.0.0.1:6", "mongodb://here", "postgresql://here")


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MIDFLIGHT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(embedded, "running", lambda _: HERE)
    return tmp_path


@pytest.mark.usefixtures("running")
def test_servers_running_here_are_found_with_the_example_plans_stores() -> None:
    settings = local.settings()

    assert settings.temporal_address == "127.0.0.1:5"
    assert settings.source("mongo-main").get_secret_value() == "mongodb://here"
    assert settings.target("pg-main").get_secret_value() == "postgresql://here"


def test_store_names_given_to_up_are_remembered(running: Path) -> None:
    local.remember(running, local.StoreNames(("old",), ("new",)))

    assert local.settings().target("new").get_secret_value() == "postgresql://here"


@pytest.mark.usefixtures("running")
def test_somebody_elses_temporal_is_never_mixed_with_the_stores_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDFLIGHT_TEMPORAL_ADDRESS", "temporal.example:7233")

    settings = local.settings()

    assert settings.temporal_address == "temporal.example:7233"
    assert not settings.stores


@pytest.mark.usefixtures("running")
def test_an_address_in_the_environment_goes_before_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDFLIGHT_STORE_PG_MAIN", "postgresql://there")

    assert local.settings().target("pg-main").get_secret_value() == "postgresql://there"


def test_up_never_prints_an_address_that_was_given() -> None:
    given = Settings.from_environment({"MIDFLIGHT_TARGET_DSN": "postgresql://u:secret@h/d"})
    exports = {"MIDFLIGHT_TARGET_DSN": "postgresql://u:secret@h/d", "MIDFLIGHT_STORE_PG": "postgresql://u:secret@h/d"}

    assert _exports(exports, given) == {"MIDFLIGHT_STORE_PG": "$MIDFLIGHT_TARGET_DSN"}
