"""Settings: one reader of the environment, secrets hidden, every refusal names the variable."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from midflight import telemetry
from midflight.errors import SettingsError
from midflight.settings import Settings

SECRET = "mongodb://ada:lovelace@db.example:27017"


def test_defaults_hold_in_an_empty_environment() -> None:
    settings = Settings.from_environment({})
    assert settings.temporal_address == "127.0.0.1:7233"
    assert not settings.chosen("temporal_address")


def test_every_setting_is_read_from_its_variable() -> None:
    settings = Settings.from_environment(
        {"MIDFLIGHT_MAX_CONCURRENT_ACTIVITIES": "30", "MIDFLIGHT_LOG_FORMAT": "console", "PATH": "/bin"}
    )
    assert (settings.max_concurrent_activities, settings.log_format) == (30, "console")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environment({"MIDFLIGHT_TASK_QUEUE": ""}).task_queue == "midflight"


def test_a_store_is_found_by_its_name_in_the_plan() -> None:
    settings = Settings.from_environment({"MIDFLIGHT_STORE_MONGO_MAIN": SECRET})
    assert settings.source("mongo-main").get_secret_value() == SECRET


def test_a_missing_store_names_the_variable_to_set() -> None:
    with pytest.raises(SettingsError, match="MIDFLIGHT_STORE_PG_MAIN"):
        Settings.from_environment({}).target("pg-main")


def test_a_store_of_the_wrong_kind_is_refused_without_showing_it() -> None:
    settings = Settings.from_environment({"MIDFLIGHT_STORE_PG_MAIN": SECRET})
    with pytest.raises(SettingsError, match="PostgreSQL DSN") as refusal:
        settings.target("pg-main")
    assert "lovelace" not in str(refusal.value)


def test_a_misspelt_setting_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(SettingsError, match="MIDFLIGHT_LOG_LEVEL"):
        Settings.from_environment({"MIDFLIGHT_LOG_LEVLE": "INFO"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [("MIDFLIGHT_MAX_CONCURRENT_ACTIVITIES", "many"), ("MIDFLIGHT_LOG_LEVEL", "loud")],
)
def test_an_unusable_value_names_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment({variable: text})


def test_no_secret_is_ever_printed() -> None:
    settings = Settings.from_environment(
        {
            "MIDFLIGHT_STORE_MONGO_MAIN": SECRET,
            "MIDFLIGHT_SOURCE_URI": SECRET,
            "MIDFLIGHT_TARGET_DSN": "host=x password=lovelace",
        }
    )
    shown = repr(settings) + str(settings) + repr(settings.table()) + settings.model_dump_json()
    assert "lovelace" not in shown
    assert "MIDFLIGHT_STORE_MONGO_MAIN" in shown


def test_every_row_of_the_table_says_what_it_means_and_when_it_takes_effect() -> None:
    assert all(row.description and row.takes_effect for row in Settings.from_environment({}).table())


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    telemetry.configure("json", "INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_log_line_carries_what_was_bound(log: io.StringIO) -> None:
    with telemetry.bind(domain="loyalty", phase="backfill"):
        telemetry.logger("midflight.test").info("batch_applied", rows=3)
    line = json.loads(log.getvalue())
    assert (line["event"], line["domain"], line["phase"], line["rows"]) == (
        "batch_applied",
        "loyalty",
        "backfill",
        3,
    )


def test_a_line_of_the_temporal_sdk_carries_workflow_and_attempt(log: io.StringIO) -> None:
    extra = {"temporal_activity": {"workflow_id": "midflight/loyalty", "attempt": 2, "task_token": "x"}}
    logging.getLogger("temporalio.activity").warning("failed %s", "twice", extra=extra)
    line = json.loads(log.getvalue())
    assert (line["event"], line["workflow_id"], line["attempt"]) == ("failed twice", "midflight/loyalty", 2)
    assert "task_token" not in line
