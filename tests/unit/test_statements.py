"""The target's SQL as text: no server needed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from midflight.core.plan import CollectionMap, Plan
from midflight.core.tables import tables
from midflight.errors import DomainUnknown, TargetError, TargetRefused, TargetUnavailable
from midflight.postgres.ddl import LONGEST_NAME, create_foreign_key, create_table, foreign_keys, object_name
from midflight.postgres.failures import Contended, translate, violation
from midflight.postgres.statements import merge_statements

ORDERS = CollectionMap.model_validate(
    {
        "collection": "orders",
        "table": "orders",
        "key": {"column": "id", "type": "objectid"},
        "fields": [{"field": "n", "column": "n", "type": "integer", "required": True}],
        "children": [
            {
                "array": "lines",
                "table": "lines",
                "parent_key": "order_id",
                "children": [{"map": "taxes", "table": "taxes", "parent_key": "order_id", "position": "name"}],
            }
        ],
    }
)


def text(statement: Any) -> str:
    return str(statement.as_string(None))


def test_guard_rows_are_written_in_key_order_and_only_by_a_larger_token() -> None:
    accept = text(merge_statements("public", ORDERS).accept)
    assert "order by key on conflict (collection_id, key) do update" in accept
    assert "where guard.token < excluded.token returning" in accept


def test_children_are_deleted_deepest_first_and_inserted_after_their_parent() -> None:
    statements = merge_statements("shop", ORDERS)
    assert [text(s).split()[2] for s in statements.delete_children] == ['"shop"."taxes"', '"shop"."lines"']
    assert [text(s).split()[2] for s in statements.insert_children] == ['"shop"."lines"', '"shop"."taxes"']


def test_integers_are_staged_wide_so_that_the_merge_can_refuse_them() -> None:
    copy_in = merge_statements("public", ORDERS).copy_rows[0]
    assert copy_in.types == ("text", "int8", "jsonb")
    assert text(copy_in.statement).endswith('("id", "n", "extra") from stdin (format binary)')


def test_an_update_sets_every_column_but_the_key() -> None:
    update = text(merge_statements("public", ORDERS).update_root)
    assert update.endswith('on conflict ("id") do update set "n" = excluded."n", "extra" = excluded."extra"')


def test_a_table_that_is_only_a_key_has_nothing_to_update() -> None:
    bare = CollectionMap(collection="bare", table="bare", rest=None)
    assert text(merge_statements("public", bare).update_root).endswith('on conflict ("id") do nothing')


def test_another_shape_is_staged_in_another_table() -> None:
    wider = ORDERS.model_copy(update={"rest": None})
    one, two = (merge_statements("public", c).copy_keys.statement for c in (ORDERS, wider))
    assert text(one) != text(two)


def test_names_in_statements_are_quoted() -> None:
    odd = CollectionMap(collection="select", table="select", rest="user")
    assert '"public"."select"' in text(merge_statements("public", odd).insert_new)


def test_key_columns_are_ordered_by_their_bytes() -> None:
    _, lines, taxes = tables(ORDERS)
    assert text(create_table("public", taxes)) == (
        'create table "public"."taxes" ("order_id" text collate "C" not null, "position" integer not null,'
        ' "name" text collate "C" not null,'
        ' constraint "taxes_pkey" primary key ("order_id", "position", "name"))'
    )
    assert '"position" integer not null' in text(create_table("public", lines))


def test_child_tables_refer_to_their_root_and_go_with_it() -> None:
    plan = Plan.model_validate(
        {
            "domain": "d",
            "source": {"store": "m", "database": "d"},
            "target": {"store": "p"},
            "collections": [ORDERS.model_dump()],
        }
    )
    keys = foreign_keys(plan)
    assert [(k.name, k.to_table, k.owned) for k in keys] == [
        ("lines_order_id_fkey", "orders", True),
        ("taxes_order_id_fkey", "orders", True),
    ]
    made = text(create_foreign_key("public", keys[0]))
    assert made.endswith("on delete cascade deferrable initially immediate not valid")


@pytest.mark.parametrize("length", [10, 30, 31, 60])
def test_names_fit_and_stay_apart(length: int) -> None:
    one, two = (object_name("t" * length, "c" * length, end) for end in ("fkey", "idx"))
    assert one != two
    assert len(one) <= LONGEST_NAME
    assert one == object_name("t" * length, "c" * length, "fkey")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (psycopg.errors.DeadlockDetected(), Contended),
        (psycopg.errors.LockNotAvailable(), Contended),
        (psycopg.errors.SerializationFailure(), Contended),
        (psycopg.errors.AdminShutdown(), TargetUnavailable),
        (psycopg.errors.TooManyConnections(), TargetUnavailable),
        (psycopg.errors.QueryCanceled(), TargetUnavailable),
        (psycopg.errors.DiskFull(), TargetUnavailable),
        (psycopg.OperationalError("connection refused"), TargetUnavailable),
        (psycopg.errors.InsufficientPrivilege("permission denied for table x"), TargetRefused),
        (psycopg.OperationalError('FATAL: password authentication failed for user "x"'), TargetRefused),
        (psycopg.errors.UndefinedTable('relation "midflight.domains" does not exist'), DomainUnknown),
        (psycopg.errors.UndefinedTable('relation "orders" does not exist'), TargetError),
    ],
)
def test_each_error_of_the_driver_becomes_one_of_ours(error: psycopg.Error, ours: type[Exception]) -> None:
    assert type(translate(error)) is ours


def test_the_values_that_the_server_quotes_are_not_passed_on() -> None:
    error = psycopg.errors.InvalidTextRepresentation('invalid input syntax for type integer: "secret"')
    assert "secret" not in str(translate(error))
    assert "secret" not in str(violation(error))
