"""`python -m tests.mutants [part of a rule's name ...]`: a line a mutant, exit 1 if one went unnoticed."""

from __future__ import annotations

import sys

from tests.mutants.catalogue import MUTANTS
from tests.mutants.run import run


def main(wanted: list[str]) -> int:
    """Run the mutants whose rule contains one of the words; all of them without words."""
    chosen = [mutant for mutant in MUTANTS if not wanted or any(word in mutant.rule for word in wanted)]
    unnoticed = 0
    for mutant in chosen:
        outcome = run(mutant)
        unnoticed += not outcome.noticed
        print(f"{'red  ' if outcome.noticed else 'GREEN'}  {mutant.rule}  ({', '.join(mutant.tests)})", flush=True)
        if not outcome.noticed:
            print(outcome.output)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} mutants were noticed")
    return 1 if unnoticed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
