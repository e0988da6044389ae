"""Rules of the application's library, each removed once."""

from __future__ import annotations

from tests.mutants.run import Edit, Mutant

STANDING = "midflight/gateway/standing.py"
FLOORS = "midflight/gateway/floors.py"
CALLS = "midflight/gateway/calls_async.py"
GATEWAY = "tests/integration/test_gateway.py"
FAULTS = "tests/integration/test_gateway_faults.py"

GATEWAYS: tuple[Mutant, ...] = (
    Mutant(
        "a shadow write follows the write",
        (Edit(CALLS, "        await engine.follow_up(unit)\n", ""),),
        (f"{GATEWAY}::test_before_the_flip_the_source_is_written_and_the_target_follows",),
    ),
    Mutant(
        "a write in flight keeps its revision from being acknowledged",
        (Edit(STANDING, "        if oldest is None:\n", "        if True:\n"),),
        (f"{GATEWAY}::test_a_step_is_not_acknowledged_before_the_last_older_write_has_ended",),
    ),
    Mutant(
        "writes wait while they are held",
        (Edit(STANDING, "route is None or route.stage is Stage.HOLD else", "route is None else"),),
        (f"{GATEWAY}::test_parked_writes_go_on_at_the_target_after_the_flip",),
    ),
    Mutant(
        "a lease counts from its second poll",
        (Edit(STANDING, "        if not registered:\n            return True\n", ""),),
        (f"{FAULTS}::test_a_lease_counts_again_only_with_the_second_poll_after_it_ran_out",),
    ),
    Mutant(
        "a lease ends",
        (Edit(STANDING, "return route if seconds() < until else None", "return route"),),
        (f"{FAULTS}::test_at_the_target_a_lost_lease_is_a_retryable_error",),
    ),
    Mutant(
        "without a lease nobody writes behind the fence",
        (Edit("midflight/gateway/engine.py", "elif await self._source_in_charge(standing, route):", "else:"),),
        (f"{FAULTS}::test_behind_the_fence_nobody_reads_or_writes_the_source_without_a_lease",),
    ),
    Mutant(
        "what a store refuses because the authority moved is done again",
        (Edit(CALLS, "        if not await _moved(engine, unit, error):\n            raise\n", "        raise\n"),),
        (f"{FAULTS}::test_a_write_that_slept_through_the_flip_is_refused_and_done_once_at_the_target",),
    ),
    Mutant(
        "who is behind at the target reads from the source",
        (Edit(FLOORS, " > applied_mark\n\n    def passed", " > 2**64\n\n    def passed"),),
        (f"{GATEWAY}::test_what_missed_its_shadow_write_is_read_from_the_source_until_the_tail_has_it",),
    ),
    Mutant(
        "a floor counts in every process",
        (Edit(FLOORS, " or route.applied_mark < level.mark", ""),),
        (f"{GATEWAY}::test_a_floor_carries_what_a_session_wrote_to_another_process",),
    ),
    Mutant(
        "what is in quarantine is read from the source",
        (Edit(FLOORS, "        self._unproven.hold(batch.documents, mark)\n", ""),),
        (f"{GATEWAY}::test_what_is_in_quarantine_is_read_from_the_source_although_the_tail_has_passed_it",),
    ),
)
