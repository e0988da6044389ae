"""Settings: the one place that reads the environment.

Every setting is an environment variable named `MIDFLIGHT_` and the field's name in capitals. A store that a
plan calls `mongo-main` has its address in `MIDFLIGHT_STORE_MONGO_MAIN`. Addresses are secrets: they never
reach a log, a table, a workflow's history or a plan.
`midflight settings` prints `Settings.table()`: there is no second list to keep.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.config import JsonDict

from midflight.errors import SettingsError

PREFIX = "MIDFLIGHT_"
STORE_PREFIX = "MIDFLIGHT_STORE_"
TEST_PREFIX = "MIDFLIGHT_TEST_"  # belongs to the test suite, never read here

AT_WORKER_START = "when the worker starts"
AT_NEXT_COMMAND = "at the next command"
AT_NEXT_UP = "at the next `up`, `demo` or test run"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as an operator sees it; secrets are already hidden."""

    name: str
    value: str
    default: str
    description: str
    takes_effect: str


def _setting(
    default: Any,
    description: str,
    takes_effect: str,
    *,
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    extra: JsonDict = {"takes_effect": takes_effect}
    return Field(default, description=description, json_schema_extra=extra, ge=ge, le=le)


class Settings(BaseModel):
    """All settings of the worker, the starter and the embedded servers; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    temporal_address: str = _setting(
        "127.0.0.1:7233", "host:port of Temporal; when set, no embedded Temporal is started", AT_WORKER_START
    )
    temporal_namespace: str = _setting("default", "Temporal namespace of all migrations", AT_WORKER_START)
    task_queue: str = _setting("midflight", "task queue the worker polls and the starter uses", AT_WORKER_START)
    source_uri: SecretStr | None = _setting(
        None, "MongoDB to use instead of the embedded Mongo-compatible server", AT_NEXT_UP
    )
    target_dsn: SecretStr | None = _setting(None, "PostgreSQL to use instead of the embedded server", AT_NEXT_UP)
    state_dir: Path = _setting(Path(".midflight"), "where embedded servers and reports keep their data", AT_NEXT_UP)
    archive_dir: Path = _setting(
        Path(".midflight/archive"),
        "where decommission keeps the source's documents before it drops them",
        AT_WORKER_START,
    )
    log_format: Literal["json", "console"] = _setting(
        "json", "how log lines look: one JSON object each, or for people", AT_WORKER_START
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting(
        "INFO", "least severe level that is logged", AT_WORKER_START
    )
    max_concurrent_activities: int = _setting(
        200,
        "activities one worker process runs at a time; each domain holds up to four for its whole way",
        AT_WORKER_START,
        ge=8,
        le=1000,
    )
    heartbeat_throttle_seconds: float = _setting(
        1.0, "longest time a heartbeat is held back before it is sent", AT_WORKER_START, ge=0.1, le=60
    )
    graceful_shutdown_seconds: float = _setting(
        20.0,
        "time a stopping worker gives its activities to commit and return",
        AT_WORKER_START,
        ge=0,
        le=3600,
    )
    stores: Mapping[str, SecretStr] = Field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read `environ`, by default the process's own. Raises SettingsError naming the variable."""
        ours = _ours(os.environ if environ is None else environ)
        values: dict[str, Any] = {"stores": _stores(ours)}
        for variable, text in ours.items():
            if not variable.startswith(STORE_PREFIX):
                values[_field_of(variable)] = text
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _refusal(error) from None

    def source(self, store: str) -> SecretStr:
        """The MongoDB address of a plan's store. Raises SettingsError naming the variable to set."""
        return self._store(store, ("mongodb://", "mongodb+srv://"), "a MongoDB URI (mongodb://...)")

    def target(self, store: str) -> SecretStr:
        """The PostgreSQL address of a plan's store. Raises SettingsError naming the variable to set."""
        schemes = ("postgresql://", "postgres://", "host=", "hostaddr=", "service=", "dbname=", "user=", "port=")
        return self._store(store, schemes, "a PostgreSQL DSN (postgresql://...)")

    def chosen(self, field: str) -> bool:
        """Whether this setting was given, rather than left at its default."""
        return field in self.model_fields_set

    def table(self) -> list[SettingRow]:
        """Every setting with its value, for people. Secrets are hidden."""
        rows = [_row(name, getattr(self, name)) for name in type(self).model_fields if name != "stores"]
        return rows + [_store_row(key) for key in sorted(self.stores)]

    def _store(self, store: str, starts: tuple[str, ...], kind: str) -> SecretStr:
        variable = store_variable(store)
        address = self.stores.get(variable)
        if address is None:
            raise SettingsError(f"The store '{store}' has no address.", next_step=f"Set {variable} to {kind}.")
        if not address.get_secret_value().startswith(starts):
            raise SettingsError(f"{variable} does not hold {kind}.", next_step="Correct it; its value is not shown.")
        return address


def store_variable(store: str) -> str:
    """The environment variable that holds the address of a plan's store."""
    return STORE_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", store).upper()


def child_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process we start: what we inherited, with our own settings replaced by `ours`."""
    return {**os.environ, **ours}


def _ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in environ.items()
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and text
    }


def _stores(ours: Mapping[str, str]) -> dict[str, SecretStr]:
    return {name: SecretStr(text) for name, text in ours.items() if name.startswith(STORE_PREFIX)}


def _field_of(variable: str) -> str:
    field = variable.removeprefix(PREFIX).lower()
    known = set(Settings.model_fields) - {"stores"}
    if field in known:
        return field
    near = difflib.get_close_matches(field, known, n=1)
    hint = f"Did you mean {_variable(near[0])}?" if near else "`midflight settings` lists the known ones."
    raise SettingsError(f"{variable} is not a setting.", next_step=hint)


def _refusal(error: ValidationError) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    variable = _variable(str(first["loc"][0]))
    return SettingsError(f"{variable} cannot be used: {first['msg']}.", next_step="`midflight settings` describes it.")


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _row(field: str, value: object) -> SettingRow:
    info = Settings.model_fields[field]
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return SettingRow(
        name=_variable(field),
        value=_shown(value),
        default=_shown(info.default),
        description=info.description or "",
        takes_effect=str(extra.get("takes_effect", "")),
    )


def _store_row(variable: str) -> SettingRow:
    return SettingRow(variable, "(hidden)", "", "address of a store named in plans", AT_WORKER_START)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return "(hidden)" if isinstance(value, SecretStr) else str(value)
