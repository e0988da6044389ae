"""The fingerprint: the same rows, the same fingerprint; other rows, another."""

from __future__ import annotations

from typing import Any

import pytest

from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Plan, plain

PLAN: dict[str, Any] = {
    "domain": "shop",
    "source": {"store": "mongo-main", "database": "shop"},
    "target": {"store": "pg-main", "schema": "shop"},
    "collections": [
        {"collection": "orders", "table": "orders", "fields": [{"field": "a", "column": "a", "type": "text"}]}
    ],
}


def turned_round(value: Any) -> Any:
    """The same content with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {name: turned_round(value[name]) for name in reversed(value)}
    return [turned_round(entry) for entry in value] if isinstance(value, list) else value


def made(**changes: object) -> str:
    return fingerprint(Plan.model_validate({**PLAN, **changes}))


def test_it_is_a_sha256_in_hex() -> None:
    assert len(made()) == 64
    assert int(made(), 16)


def test_it_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint(Plan.model_validate(turned_round(PLAN))) == made()


def test_it_survives_a_round_through_json_data() -> None:
    plan = Plan.model_validate(PLAN)
    assert fingerprint(Plan.model_validate(plain(plan))) == fingerprint(plan)


def test_it_is_the_same_whether_defaults_are_written_out_or_not() -> None:
    written_out = [{**PLAN["collections"][0], "rest": "extra", "key": {"column": "id", "type": "any"}}]
    assert made(collections=written_out) == made()


@pytest.mark.parametrize(
    "changes",
    [
        {"pacing": {"documents_per_second": 5}},
        {"limits": {"lag_seconds": 1}},
        {"soak_seconds": 1},
        {"dark_reads": {"percent": 1}},
        {"ramp": {"steps": [100]}},
        {"approvals": []},
        {"owner": "me", "description": "words"},
    ],
    ids=str,
)
def test_it_ignores_what_may_change_while_a_move_runs(changes: dict[str, object]) -> None:
    assert made(**changes) == made()


@pytest.mark.parametrize(
    "changes",
    [
        {"domain": "other"},
        {"source": {"store": "mongo-main", "database": "other"}},
        {"target": {"store": "pg-main", "schema": "other"}},
        {"collections": [{**PLAN["collections"][0], "rest": None}]},
        {"collections": [{**PLAN["collections"][0], "fields": [{"field": "a", "column": "b", "type": "text"}]}]},
        {"collections": [{**PLAN["collections"][0], "fields": [{"field": "a", "column": "a", "type": "date"}]}]},
    ],
    ids=str,
)
def test_it_changes_with_what_is_written(changes: dict[str, object]) -> None:
    assert made(**changes) != made()
