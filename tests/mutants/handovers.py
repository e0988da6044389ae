"""Rules of the handovers, of the reverse tail and of the tripwire, each removed once."""

from __future__ import annotations

from tests.mutants.run import Edit, Mutant

LIBRARY = "midflight/handover.py"
OVER = "tests/fault/test_handover_over.py"
OVER_BROKEN_OFF = "tests/fault/test_handover_over_broken_off.py"
SLEEPERS = "tests/fault/test_handover_sleepers.py"
BACK = "tests/fault/test_handover_back.py"
REVERSE = "tests/fault/test_reverse.py"
TRIPWIRE = "tests/fault/test_tripwire.py"
KEEPER = "tests/fault/test_keeper.py"

HANDOVERS: tuple[Mutant, ...] = (
    Mutant(
        "drain before the flip, by example",
        (Edit(LIBRARY, '        with self.step("drain"):\n            await drained(bridge, self.left)\n', ""),),
        (f"{OVER}::test_a_write_of_the_last_moment_is_in_the_target_when_it_becomes_the_authority",),
    ),
    Mutant(
        "reverse drain before rollback, by example",
        (
            Edit(LIBRARY, "            await self._drain_dirty(self.left, 0)\n", "            pass\n"),
            Edit("midflight/postgres/authority.py", "    if waiting:", "    if waiting < 0:"),
        ),
        (f"{BACK}::test_a_write_of_the_last_moment_at_the_target_is_in_the_source_when_it_is_the_authority_again",),
    ),
    Mutant(
        "clear the mark only up to what was read",
        (Edit("midflight/reverse.py", "[(one.mark.row_key, one.mark.seq) for", "[(one.mark.row_key, 2**62) for"),),
        (f"{REVERSE}::test_a_write_between_the_read_and_the_clearing_of_its_mark_arrives_too",),
    ),
    Mutant(
        "an undone handover lowers the fence",
        (
            Edit(
                LIBRARY,
                "writes to the source at once.\n    await lower_fence(bridge)\n",
                "writes to the source at once.\n",
            ),
        ),
        (f"{OVER}::test_a_drain_that_never_ends_is_undone",),
    ),
    Mutant(
        "a flip names the revision of its own hold",
        (Edit(LIBRARY, "self._epoch, row.revision)", "self._epoch)"),),
        (f"{SLEEPERS}::test_an_attempt_that_slept_cannot_flip_once_its_successor_has_undone_it",),
    ),
    Mutant(
        "a new revision before the fence comes down",
        (
            Edit(
                LIBRARY,
                "await ledger.set_stage(domain, Stage.HOLD, row.reads_bp, 0 if row.dark_reads_bp else 1)",
                "await ledger.authority(domain)",
            ),
        ),
        (f"{SLEEPERS}::test_an_attempt_that_wakes_while_its_successor_undoes_it_cannot_flip",),
    ),
    Mutant(
        "a sleeper leaves the fence of its successor",
        (Edit(LIBRARY, " and await bridge.target.ledger.authority(bridge.plan.domain) == row:", ":"),),
        (f"{SLEEPERS}::test_a_way_back_that_slept_does_not_lower_the_fence_of_the_next_way_over",),
    ),
    Mutant(
        "whoever undoes looks again before the fence comes down",
        (Edit(LIBRARY, "if await ledger.authority(domain) != row:", "if False:"),),
        (f"{SLEEPERS}::test_an_undoing_that_slept_does_not_lower_the_fence_of_a_later_handover",),
    ),
    Mutant(
        "without the ledger only who is still alone lowers the fence",
        (Edit(LIBRARY, " and seconds() - self.began < self.limit + ALONE_SECONDS:", ":"),),
        (f"{SLEEPERS}::test_without_the_ledger_an_attempt_that_slept_leaves_the_fence_alone",),
    ),
    Mutant(
        "a hold that is being undone goes no step further",
        (Edit(LIBRARY, "            self.undoing = True\n", ""),),
        (f"{OVER_BROKEN_OFF}::test_a_hold_that_does_not_hear_its_cancellation_does_not_flip_while_it_is_undone",),
    ),
    Mutant(
        "every table marks before the handover",
        (Edit(LIBRARY, "        await self.bridge.target.fence.install(self.bridge.plan)\n", ""),),
        (f"{OVER}::test_a_table_that_was_made_anew_gets_its_triggers_back_before_the_handover",),
    ),
    Mutant(
        "every table marks before the way back",
        (Edit(LIBRARY, "        await demand_marks(self.bridge)\n", ""),),
        (f"{BACK}::test_a_table_that_marks_nothing_keeps_the_authority_at_the_target",),
    ),
    Mutant(
        "acknowledgements before the target closes",
        (Edit(LIBRARY, "await ledger.hold(domain)", "await ledger.close(domain)"),),
        (f"{BACK}::test_a_write_in_flight_ends_at_the_target_before_it_closes",),
    ),
    Mutant(
        "closing names the revision of its own hold",
        (Edit(LIBRARY, "await ledger.close(domain, row.revision)", "await ledger.close(domain)"),),
        (f"{SLEEPERS}::test_a_way_back_that_slept_does_not_close_the_target_once_its_hold_was_taken_back",),
    ),
    Mutant(
        "acknowledgements before the fence",
        (
            Edit(
                LIBRARY,
                '            await self.acknowledged(row.revision)\n        with self.step("fence"):',
                '            pass\n        with self.step("fence"):',
            ),
        ),
        (f"{OVER}::test_an_instance_that_never_acknowledges_is_named_and_the_handover_undone",),
    ),
    Mutant(
        "the fence stays up once the flip was asked for",
        (Edit(LIBRARY, "if not self._flip_asked and seconds()", "if seconds()"),),
        (
            f"{OVER_BROKEN_OFF}::test_the_target_that_goes_away_in_the_hold_opens_the_source_unless_the_flip_was_asked_for",
        ),
    ),
    Mutant(
        "a second attempt never goes on",
        (Edit(LIBRARY, "if not first or row.stage is Stage.HOLD or await", "if False and await"),),
        (f"{OVER_BROKEN_OFF}::test_what_a_killed_worker_left_is_undone_first",),
    ),
    Mutant(
        "the tail is a tripwire after the flip",
        (
            Edit(
                "activities/tail.py",
                "await self._work.source.reverse.late_writes(collection, keys) if keys else []",
                "[]",
            ),
        ),
        (f"{TRIPWIRE}::test_a_late_write_is_quarantined_with_its_image_and_the_source_put_right",),
    ),
    Mutant(
        "what is judged under the target commits only under it",
        (Edit("midflight/postgres/reverse.py", '    if row[0] != "target":', '    if row[0] == "nobody":'),),
        (f"{TRIPWIRE}::test_a_change_judged_under_the_target_but_committed_after_the_way_back_is_not_late",),
    ),
    Mutant(
        "the keeper lowers a fence that two looks found under the same row",
        (Edit("midflight/keeper.py", "if seen == row:", "if fenced:"),),
        (f"{KEEPER}::test_one_look_lowers_nothing_nor_do_two_with_a_move_of_the_row_between",),
    ),
    Mutant(
        "the keeper reads the row again before it raises a fence",
        (Edit("midflight/keeper.py", "if not missing or await self._row() != row:", "if not missing:"),),
        (f"{KEEPER}::test_a_fence_is_not_raised_for_an_authority_that_has_just_moved",),
    ),
)
