"""The catalogue of mutants must not rot: every edit still finds its text, every test still exists."""

from __future__ import annotations

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.run import ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_mutant_still_finds_what_it_breaks(mutant: Mutant) -> None:
    counts = {edit.before: (ROOT / edit.file).read_text().count(edit.before) for edit in mutant.edits}
    assert set(counts.values()) == {1}, counts


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_the_tests_that_notice_a_mutant_exist(mutant: Mutant) -> None:
    for test in mutant.tests:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text()
        assert not name or f"def {name.partition('[')[0]}(" in text, test
