"""The real dumps: every document becomes rows, and the rows become the very bytes again. No server is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from midflight.core.documents import Document, read_document, split
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Mapped
from midflight.core.plan_file import load_plan
from midflight.core.values import encode

PROJECT = Path(__file__).parents[2]
DUMPS = PROJECT.parent / "shared" / "data"
SIZES = {"accounts": 1746, "customers": 500}


@pytest.fixture(params=SIZES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def documents(name: str) -> list[bytes]:
    path = DUMPS / f"sample_analytics.{name}.bson"
    if not path.exists():
        pytest.skip(f"the dump ../shared/data/{path.name} is not beside the project")
    return list(split(path.read_bytes()))


@pytest.fixture
def mapper(name: str) -> Mapper:
    text = (PROJECT / "plans" / f"{name}.yaml").read_text(encoding="utf-8")
    return mapper_for(load_plan(text).collection(name))


def rows_of(mapper: Mapper, raw: bytes) -> Mapped:
    document = read_document(raw)
    assert isinstance(document, Document)
    outcome = mapper.map(document)
    assert isinstance(outcome, Mapped), outcome
    return outcome


def test_every_document_rebuilds_byte_for_byte(name: str, documents: list[bytes], mapper: Mapper) -> None:
    assert len(documents) == SIZES[name]
    for raw in documents:
        assert encode(mapper.unmap(rows_of(mapper, raw).rows)) == raw


def test_every_element_has_a_row_of_its_own(name: str, documents: list[bytes], mapper: Mapper) -> None:
    expected = {
        "accounts": {"accounts": 1746, "account_products": 5383},
        "customers": {
            "customers": 500,
            "customer_accounts": 1746,
            "customer_tiers": 456,
            "customer_tier_benefits": 685,
        },
    }
    counts = dict.fromkeys((table.name for table in mapper.tables), 0)
    for raw in documents:
        for table, rows in zip(mapper.tables, rows_of(mapper, raw).rows, strict=True):
            counts[table.name] += len(rows)
    assert counts == expected[name]


@pytest.mark.parametrize("name", ["customers"], indirect=True)
def test_the_field_of_a_single_document_is_null_elsewhere(documents: list[bytes], mapper: Mapper) -> None:
    place = [column.name for column in mapper.tables[0].columns].index("active")
    values = [rows_of(mapper, raw).rows[0][0][place] for raw in documents]
    assert sorted(values, key=str) == [None] * 499 + [True]
