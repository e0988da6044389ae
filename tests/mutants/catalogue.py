"""The rows of the protocol's mutant table (section 8), as edits of the real code."""

from __future__ import annotations

from tests.mutants.run import Edit, Mutant

MUTANTS: tuple[Mutant, ...] = ()
