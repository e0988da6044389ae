"""The writer's journal: what it tells after a crash is what can be known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.journal import Journal, JournalError, packed, read

KEY = packed({"_id": 1})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "members.jsonl"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with closing(Journal(path, "members")) as journal:
        yield journal


def test_the_last_acknowledged_document_of_a_key_counts(journal: Journal, path: Path) -> None:
    for value in ("first", "second"):
        journal.intend("update", 1)
        journal.acknowledge({"_id": 1, "value": value})
    story = read(path)
    assert story.last == {KEY: packed({"_id": 1, "value": "second"})}
    assert story.acknowledged == 2
    assert not story.uncertain


def test_an_acknowledged_delete_leaves_nothing(journal: Journal, path: Path) -> None:
    journal.intend("insert", 1)
    journal.acknowledge({"_id": 1})
    journal.intend("delete", 1)
    journal.acknowledge(None)
    assert read(path).last == {KEY: None}


def test_a_refused_write_changes_nothing(journal: Journal, path: Path) -> None:
    journal.intend("insert", 1)
    journal.acknowledge({"_id": 1})
    journal.intend("update", 1)
    journal.refuse("the fence")
    story = read(path)
    assert story.last == {KEY: packed({"_id": 1})}
    assert story.refused == {"the fence": 1}
    assert story.acknowledged == 1


def test_a_write_without_an_answer_is_uncertain(journal: Journal, path: Path) -> None:
    journal.intend("update", 1)
    journal.intend("insert", 2)
    journal.acknowledge({"_id": 2})
    story = read(path)
    assert story.uncertain == {KEY}
    assert KEY not in story.last


def test_a_line_cut_short_by_a_crash_counts_as_not_written(journal: Journal, path: Path) -> None:
    journal.intend("update", 1)
    journal.acknowledge({"_id": 1})
    whole = path.read_text()
    path.write_text(whole[:-10])
    assert read(path).uncertain == {KEY}


def test_two_hands_on_one_key_are_refused(journal: Journal, path: Path, tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "people.jsonl", "members")) as other:
        for hand in (journal, other):
            hand.intend("update", 1)
            hand.acknowledge({"_id": 1})
    with pytest.raises(JournalError, match="two hands"):
        read(path).merge(read(tmp_path / "people.jsonl"))


def test_facts_out_of_order_are_refused(path: Path) -> None:
    path.write_text('{"sequence": 2, "at": "", "fact": "ack", "document": null}\n')
    with pytest.raises(JournalError, match="does not follow"):
        read(path)
