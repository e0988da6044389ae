"""Bad plan files: each is refused with its place and what to do; good ones load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midflight.core.plan_file import json_schema, load_plan
from midflight.errors import PlanError

PLANS = Path(__file__).parents[2] / "plans"

GOOD = """
domain: shop
source: { store: mongo-main, database: shop }
target: { store: pg-main, schema: shop }
collections:
  - collection: orders
    table: orders
    fields:
      - { field: note, column: note, type: text }
"""


def refusal(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        load_plan(text)
    return str(caught.value)


def test_a_small_plan_loads_with_its_defaults() -> None:
    plan = load_plan(GOOD)
    assert plan.collection("orders").key.type == "any"
    assert plan.ramp.steps == (1, 10, 50, 100)


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_plan_loads_and_checks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=plan.schema.json\n")
    assert load_plan(text).domain == path.stem


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "~"])
def test_an_empty_plan_is_refused(text: str) -> None:
    assert refusal(text) == "The plan is empty. Start from one of the examples in plans/."


@pytest.mark.parametrize(
    ("text", "kind"), [("- a\n- b", "a list"), ("hello", "one value (str)"), ("7", "one value (int)")]
)
def test_a_plan_that_is_no_mapping_is_refused(text: str, kind: str) -> None:
    assert refusal(text).startswith(f"The plan must be a mapping of keys to values, not {kind}.")


def test_invalid_yaml_is_refused_with_line_and_column() -> None:
    assert "not valid YAML (line 2, column 9): " in refusal("domain: shop\nsource: : :")


def test_a_tab_for_indentation_is_refused_with_its_place() -> None:
    assert "not valid YAML (line 2, column 1)" in refusal("source:\n\tstore: a")


def test_a_tag_that_would_run_code_is_refused() -> None:
    assert "not valid YAML (line 1, column 9)" in refusal("domain: !!python/object/apply:os.getcwd []")


def test_a_control_character_is_refused() -> None:
    assert refusal("domain: \x00").startswith("The plan is not valid YAML")


def test_a_date_that_is_none_is_refused() -> None:
    assert refusal("domain: 2020-13-45").startswith("The plan holds a value that YAML cannot read")


def test_two_documents_in_one_file_are_refused() -> None:
    assert "single document" in refusal("domain: a\n---\ndomain: b\n")


def test_a_key_named_twice_is_refused_with_both_lines() -> None:
    message = refusal("domain: shop\nowner: me\ndomain: other\n")
    assert message == "The plan cannot be used: key `domain` on line 3 stands already on line 1. Keep one of them."


def test_an_alias_that_contains_itself_is_refused() -> None:
    assert refusal(GOOD.replace("shop\nsource", "shop\ndescription: &a [*a]\nsource", 1))


def test_a_missing_key_is_named_with_the_line_of_what_lacks_it() -> None:
    message = refusal(GOOD.replace("table: orders", "rest: extra"))
    assert "collections[0].table (line 6): this key is required. Add it." in message


@pytest.mark.parametrize(
    ("there", "instead", "told"),
    [
        ("domain: shop", "domian: shop", "domian (line 2): there is no key `domian` here. Did you mean `domain`?"),
        (
            "schema: shop",
            "shcema: shop",
            "target.shcema (line 4): there is no key `shcema` here. Did you mean `schema`?",
        ),
        (
            "column: note",
            "colum: note",
            "collections[0].fields[0].colum (line 9): there is no key `colum` here. Did you mean `column`?",
        ),
        (
            "table: orders",
            "table: orders\n    zzz: 1",
            "collections[0].zzz (line 8): there is no key `zzz` here. Use one of: children, collection, constants,",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_right_one(there: str, instead: str, told: str) -> None:
    assert told in refusal(GOOD.replace(there, instead, 1))


@pytest.mark.parametrize(
    ("there", "instead", "told"),
    [
        (
            "domain: shop",
            "domain: no",
            "domain (line 2): this must be text, but YAML reads the boolean false. Put it in quotes.",
        ),
        ("domain: shop", "domain: Shop!", "domain (line 2): `Shop!` is not a usable name."),
        ("domain: shop", "domain:", "domain (line 2): this must be text, but YAML reads nothing. Give it a value."),
        ("table: orders", "table: Orders", "collections[0].table (line 7): `Orders` is not a usable name."),
        ("table: orders", f"table: {'o' * 64}", "has 64 characters; PostgreSQL allows 63. Shorten it."),
        (
            "type: text",
            "type: [text]",
            "collections[0].fields[0].type (line 9): this must be text, but YAML reads a list.",
        ),
        ("{ field: note, column: note, type: text }", "note", "must be a mapping of keys to values, not `note`."),
        ("{ store: mongo-main, database: shop }", "mongo", "source (line 3): this must be a mapping of keys"),
        (
            "domain: shop",
            "domain: shop\nmidflight: 2",
            "midflight (line 3): the integer 2 is not known here. Use one of: 1.",
        ),
        (
            "domain: shop",
            "domain: shop\napprovals: [rump]",
            "approvals[0] (line 3): `rump` is not known here. Did you mean `ramp`?",
        ),
        ("domain: shop", "domain: shop\napprovals: ramp", "approvals (line 3): this must be a list, not `ramp`."),
        (
            "domain: shop",
            "domain: shop\npacing: { batch_size: 0 }",
            "pacing.batch_size (line 3): input should be greater than",
        ),
        (
            "domain: shop",
            "domain: shop\npacing: { window: { start: 22:30, end: '06:00' } }",
            "pacing.window.start (line 3): this must be text, but YAML reads the integer 1350. Put it in quotes.",
        ),
        (
            "domain: shop",
            "domain: shop\npacing: { window: { start: '25:30', end: '06:00' } }",
            "pacing.window.start (line 3): `25:30` is not a time of day.",
        ),
        ("domain: shop", "domain: shop\n7: x", "key `7` must be text. Put it in quotes."),
        (
            "    fields:",
            "    constants: [{ column: since, type: date, value: 2020-01-01 }]\n    fields:",
            "collections[0].constants[0].value (line 8): a constant cannot be the date 2020-01-01. Put it in quotes.",
        ),
        (
            "    fields:",
            "    indexes: [{ columns: [] }]\n    fields:",
            "indexes[0].columns (line 8): this must not be empty.",
        ),
    ],
)
def test_a_wrong_value_is_told_in_a_plain_sentence(there: str, instead: str, told: str) -> None:
    assert told in refusal(GOOD.replace(there, instead, 1))


def test_no_collections_is_refused() -> None:
    text = GOOD[: GOOD.index("collections:")] + "collections: []\n"
    assert "collections (line 5): this must not be empty." in refusal(text)


def test_all_problems_are_told_at_once() -> None:
    message = refusal(GOOD.replace("domain: shop", "domain: no").replace("type: text", "tipe: text"))
    assert message.startswith("The plan cannot be used, it has 3 problems:\n- domain (line 2): ")


def test_what_the_check_finds_gets_its_line_too() -> None:
    message = refusal(GOOD.replace("schema: shop", "schema: midflight"))
    assert message.startswith("The plan cannot be used: target.schema (line 4): `midflight` is the schema")


def test_the_schema_file_for_editors_is_up_to_date() -> None:
    stored = json.loads((PLANS / "plan.schema.json").read_text(encoding="utf-8"))
    assert stored == json_schema(), "run: python -m starter plan schema > plans/plan.schema.json"
