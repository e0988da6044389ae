"""Rules of parity: what is settled, what a repair refuses, each removed once."""

from __future__ import annotations

from tests.mutants.run import Edit, Mutant

DECIDE = "midflight/parity/decide.py"
CAUSES = "midflight/parity/causes.py"
PLAN = "midflight/parity/repair_plan.py"
LOOKS = "tests/unit/parity/test_decide.py"
MODEL = "tests/unit/parity/test_decide_model.py"
GROUPS = "tests/unit/parity/test_causes.py"
PLANNED = "tests/unit/parity/test_repair_plan.py"
TORTURE = "tests/unit/parity/test_torture.py"
TORTURED = "tests/unit/parity/test_torture_causes.py"
COLUMNS = "tests/unit/parity/test_every_column.py"
REPAIRED = "tests/integration/parity/test_repair.py"

PARITY: tuple[Mutant, ...] = (
    Mutant(
        "two looks before the barrier",
        (Edit(DECIDE, "LOOKS_BEFORE_BARRIER = 2", "LOOKS_BEFORE_BARRIER = 1"),),
        (f"{MODEL}::test_a_mere_lag_is_never_settled", LOOKS),
    ),
    Mutant(
        "no suspect is settled without a barrier",
        (Edit(DECIDE, "(barrier_passed and known.rounds >=", "(known.rounds >="),),
        (f"{MODEL}::test_a_mere_lag_is_never_settled", LOOKS),
    ),
    Mutant(
        "a new token begins the looks anew",
        (Edit(DECIDE, "mismatch.target_version, mismatch.token", "mismatch.target_version"),),
        (f"{MODEL}::test_a_mere_lag_is_never_settled", LOOKS),
    ),
    Mutant(
        "a new version of the source begins the looks anew",
        (Edit(DECIDE, "return absent, mismatch.source_version, ", "return absent, "),),
        (f"{LOOKS}::test_a_change_on_either_side_begins_anew",),
    ),
    Mutant(
        "rows that should hold this very image are settled at once",
        (Edit(DECIDE, "return same_image or target.faithful is False", "return target.faithful is False"),),
        (f"{LOOKS}::test_a_difference_is_settled_at_once_where_the_target_holds_the_very_image_of_the_source",),
    ),
    Mutant(
        "rows that are not what was applied are settled at once",
        (Edit(DECIDE, "return same_image or target.faithful is False", "return same_image"),),
        (f"{LOOKS}::test_a_difference_is_settled_at_once_where_the_rows_are_not_what_was_applied",),
    ),
    Mutant(
        "a tail that stopped is no mapping bug",
        (Edit(CAUSES, " and mismatch.cause not in _LATE", ""),),
        (f"{GROUPS}::test_a_tail_that_stopped_is_no_mapping_bug",),
    ),
    Mutant(
        "a mapping bug is not repaired",
        (Edit(PLAN, "lambda one: one.cause is Cause.MAPPING_BUG", "lambda one: False"),),
        (f"{PLANNED}::test_a_mapping_bug_is_refused_and_the_field_is_named",),
    ),
    Mutant(
        "deletes have a cap",
        (Edit(PLAN, "len(of_one) > allowed or total > rules.deletes_at_most", "not of_one"),),
        (f"{PLANNED}::test_deletes_over_the_cap_are_refused_and_the_rest_goes_on",),
    ),
    Mutant(
        "a repair is a dry run unless it is told otherwise",
        (Edit("midflight/parity/repair.py", "    if not execute:\n", "    if person == '':\n"),),
        (f"{REPAIRED}::test_a_repair_is_a_dry_run_unless_it_is_told_otherwise",),
    ),
    Mutant(
        "a repair removes rows that have no guard",
        (Edit("midflight/postgres/statements.py", " and %(path)s <> 'repair'", ""),),
        (f"{REPAIRED}::test_rows_without_a_guard_are_mended_at_once_whether_they_should_go_or_change",),
    ),
    Mutant(
        "a constant's column is compared",
        (
            Edit("midflight/parity/source_form.py", "        if self._constants:\n", "        if False:\n"),
            Edit("midflight/parity/target_level.py", "in enumerate(plan.constants, slot)]", "in ()]"),
        ),
        (
            f"{TORTURE}::test_one_changed_cell_is_found_named_and_given_its_cause",
            f"{COLUMNS}::test_whatever_cell_is_changed_is_found_but_for_what_says_the_same_document",
        ),
    ),
    Mutant(
        "values of swapped elements show nothing",
        (Edit(CAUSES, "one.kind is Kind.ORDER or ", ""),),
        (f"{TORTURE}::test_a_change_among_rows_of_elements_is_found_named_and_given_its_cause",),
    ),
    Mutant(
        "an element too many was not filled in",
        (Edit(CAUSES, "or _elements([path]) - elements or", "or"),),
        (f"{TORTURED}::test_an_element_whose_field_was_filled_is_told_from_an_element_too_many",),
    ),
    Mutant(
        "one field that nothing explains makes the key a rogue write",
        (Edit(CAUSES, "if patterns and not (unexplained and noted):", "if patterns:"),),
        (f"{TORTURED}::test_several_fields_with_one_cause_have_it_and_each_its_own",),
    ),
    Mutant(
        "without guards nobody is called a rogue writer",
        (Edit(CAUSES, "target.version is None and (guarded or noted):", "target.version is None:"),),
        (f"{GROUPS}::test_where_the_target_notes_nothing_nobody_is_called_a_rogue_writer",),
    ),
    Mutant(
        "rows that rebuild what was applied are nobody's rogue write",
        (Edit(CAUSES, "if target.faithful is True and all(", "if target.faithful is None and all("),),
        (f"{TORTURE}::test_one_changed_cell_is_found_named_and_given_its_cause", GROUPS),
    ),
    Mutant(
        "mismatches of two tables that are not kept are counted",
        (
            Edit(
                "midflight/parity/tables/run.py",
                "self.beyond.update((one.state, one.kind) for one in mismatches[room:])",
                "del room",
            ),
        ),
        (
            "tests/integration/parity/test_tables.py::"
            "test_what_is_beyond_the_list_is_counted_and_the_run_says_how_much_is_kept",
        ),
    ),
    Mutant(
        "an older image is a lost update, whatever its values look like",
        (Edit(CAUSES, "if noted and target.version is not None and source.version != target.version:", "if False:"),),
        (
            "tests/integration/parity/test_causes.py::"
            "test_one_run_finds_what_was_done_to_the_stores_by_field_and_cause_and_nothing_else",
        ),
    ),
    Mutant(
        "a look at bytes looks at constants, too",
        (Edit("midflight/parity/image_form.py", "        if self._constants:\n", "        if False:\n"),),
        (f"{COLUMNS}::test_a_look_at_bytes_takes_no_changed_cell_for_equal_either",),
    ),
    Mutant(
        "a look at bytes takes no rows that belong to nothing for equal",
        (Edit("midflight/parity/image_level.py", "sheet.block.unclear.update(outer[0] for outer in spans)", "pass"),),
        (f"{TORTURE}::test_a_change_among_rows_of_elements_is_found_named_and_given_its_cause",),
    ),
)
