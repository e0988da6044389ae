"""Rules of parity: what is settled, what a repair refuses, each removed once."""

from __future__ import annotations

from tests.mutants.run import Edit, Mutant

DECIDE = "midflight/parity/decide.py"
CAUSES = "midflight/parity/causes.py"
PLAN = "midflight/parity/repair_plan.py"
PLANNER = "midflight/parity/repair_planner.py"
REPAIR = "midflight/parity/repair.py"
LOOKS = "tests/unit/parity/test_decide.py"
MODEL = "tests/unit/parity/test_decide_model.py"
GROUPS = "tests/unit/parity/test_causes.py"
PLANNED = "tests/unit/parity/test_repair_plan.py"
TORTURE = "tests/unit/parity/test_torture.py"
TORTURED = "tests/unit/parity/test_torture_causes.py"
COLUMNS = "tests/unit/parity/test_every_column.py"
REPAIRED = "tests/integration/parity/test_repair.py"
CELLS = "midflight/parity/forms/image_cells.py"
LEVEL = "midflight/parity/forms/image_level.py"
FORM = "midflight/parity/forms/image_form.py"
WALK = "midflight/parity/image_walk.py"
SIDE = "midflight/parity/target_side.py"
IMAGES = "tests/unit/parity/test_images.py"
SPANS = "tests/integration/parity/test_spans.py"
FAR_TIMES = "tests/integration/parity/test_far_times.py"
BROKEN_OFF = "tests/e2e/test_parity_cli_broken_off.py"

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
        (Edit(PLAN, "if mismatch.cause is Cause.MAPPING_BUG:", "if False:"),),
        (f"{PLANNED}::test_a_mapping_bug_is_refused_and_the_field_is_named",),
    ),
    Mutant(
        "deletes have a cap",
        (Edit(PLANNER, "return number > 0 and (", "return False and ("),),
        (f"{PLANNED}::test_deletes_over_the_cap_are_refused_and_the_rest_goes_on",),
    ),
    Mutant(
        "a repair is a dry run unless it is told otherwise",
        (Edit(REPAIR, "    if not execute:\n", "    if person == '':\n"),),
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
            Edit("midflight/parity/forms/source_form.py", "        if self._constants:\n", "        if False:\n"),
            Edit("midflight/parity/forms/target_level.py", "in enumerate(plan.constants, slot)]", "in ()]"),
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
        (Edit("midflight/parity/forms/image_form.py", "        if self._constants:\n", "        if False:\n"),),
        (f"{COLUMNS}::test_a_look_at_bytes_takes_no_changed_cell_for_equal_either",),
    ),
    Mutant(
        "a look at bytes takes no rows that belong to nothing for equal",
        (
            Edit(
                "midflight/parity/forms/image_level.py",
                "sheet.block.unclear.update(outer[0] for outer in spans)",
                "pass",
            ),
        ),
        (f"{TORTURE}::test_a_change_among_rows_of_elements_is_found_named_and_given_its_cause",),
    ),
    Mutant(
        "a repair draws before it reads a range",
        (
            Edit(REPAIR, "    ticket = await bridge.target.door.draw(bridge.plan.domain)\n", ""),
            Edit(
                REPAIR,
                "        applied += await bridge.target.door.apply(",
                "        ticket = await bridge.target.door.draw(bridge.plan.domain)\n"
                "        applied += await bridge.target.door.apply(",
            ),
        ),
        (f"{REPAIRED}::test_a_range_that_is_copied_again_brings_back_nothing_that_was_written_meanwhile",),
    ),
    Mutant(
        "nothing is repaired, nor recorded as begun, where the target is the authority",
        (Edit(REPAIR, "    await demand_source(bridge)\n", ""),),
        (f"{REPAIRED}::test_nothing_is_repaired_where_the_target_is_the_authority",),
    ),
    Mutant(
        "a repair leaves no page out",
        (
            Edit(
                "midflight/parity/suspects.py", "        after = (page[-1].entity, page[-1].key)\n", "        return\n"
            ),
        ),
        (f"{REPAIRED}::test_mismatches_are_read_page_by_page_and_none_is_left_out",),
    ),
    Mutant(
        "a run goes on with the levels it was begun with",
        (Edit("midflight/parity/harness.py", "[outcome.level for outcome in record.levels] or levels", "levels"),),
        ("tests/unit/parity/test_harness.py::test_a_run_goes_on_with_the_levels_it_was_begun_with",),
    ),
    Mutant(
        "a range goes on from its committed place",
        (
            Edit(
                "midflight/postgres/parity_runs.py",
                "KeyRange(lower, upper), cursor, batches",
                "KeyRange(lower, upper), None, batches",
            ),
        ),
        (f"{BROKEN_OFF}::test_a_run_that_is_killed_or_interrupted_in_the_middle_comes_to_what_a_whole_one_comes_to",),
    ),
    Mutant(
        "a watch run that was broken off hides no failure from the gate",
        (Edit("starter/parity_gate.py", ' == "watch" and one.finished_at is not None]', ' == "watch"]'),),
        ("tests/unit/test_starter_parity.py::test_only_a_new_gate_run_that_passed_opens_a_gate", BROKEN_OFF),
    ),
    Mutant(
        "a repair gives up no key because it changes",
        (Edit(REPAIR, "replace(before, resets=0), barrier_passed", "before, barrier_passed"),),
        (f"{REPAIRED}::test_a_key_that_changes_all_the_time_is_repaired_once_it_is_seen_equal_and_undecided_before",),
    ),
    Mutant(
        "microseconds of an instant are in no document",
        (Edit(CELLS, "        if rest:\n", "        if rest < 0:\n"),),
        (f"{IMAGES}::test_a_cell_that_no_document_leads_to_gives_no_image",),
    ),
    Mutant(
        "an ObjectId in capitals is another text",
        (Edit(CELLS, " or list(map(bytes.hex, raws)) != list(cells)", ""),),
        (f"{IMAGES}::test_a_cell_that_no_document_leads_to_gives_no_image",),
    ),
    Mutant(
        "what the driver would write as something else gives no image",
        (Edit(CELLS, "        _require_exact(value)\n", "        pass\n"),),
        (f"{IMAGES}::test_a_cell_that_no_document_leads_to_gives_no_image",),
    ),
    Mutant(
        "rows inside elements that are not there leave no image",
        (Edit(LEVEL, "sheet.block.unclear.update(outer[0] for outer in spans)", "spans.clear()"),),
        (f"{IMAGES}::test_a_row_inside_an_element_that_is_not_there_leaves_its_document_without_an_image",),
    ),
    Mutant(
        "rows inside an array that has no elements leave no image",
        (Edit(LEVEL, "for table in self.tables_inside for row", "for table in () for row"),),
        (f"{IMAGES}::test_an_orphan_is_seen_where_no_document_beside_it_has_elements",),
    ),
    Mutant(
        "a constant's column is looked at beside the image",
        (Edit(FORM, "        if self._constants:\n", "        if False:\n"),),
        (f"{IMAGES}::test_a_constant_that_is_not_the_plans_gives_no_image",),
    ),
    Mutant(
        "JSON null is no rest column",
        (Edit(FORM, "if (kept := parsed(text)) is None:", "if (kept := parsed(text)) is Ellipsis:"),),
        (f"{IMAGES}::test_a_rest_column_that_is_no_object_gives_no_image",),
    ),
    Mutant(
        "a span with an apply since the base run is not skipped",
        (Edit(SIDE, " or held.token > token", ""),),
        (f"{SPANS}::test_a_document_that_was_applied_again_is_compared_again",),
    ),
    Mutant(
        "a span with a row more or less is not skipped",
        (Edit(SIDE, " or held.roots != len(images)", ""),),
        (f"{SPANS}::test_a_row_that_was_given_another_key_is_met_by_a_watch_run",),
    ),
    Mutant(
        "a span with other rows than those of its keys is not skipped",
        (Edit(SIDE, "if held.row_keys != texts_of(images):", "if held.row_keys is None:"),),
        (f"{SPANS}::test_a_row_that_was_given_another_key_is_met_by_a_watch_run",),
    ),
    Mutant(
        "a span with a key that the base run saw differing is not skipped",
        (Edit(WALK, "if seen_equal and await", "if await"),),
        (f"{SPANS}::test_what_the_base_run_saw_differing_is_looked_at_again",),
    ),
    Mutant(
        "no span is skipped after the application's own writes",
        (
            Edit(
                "midflight/postgres/guards.py",
                "if number is None or await _any_mark(connection, number):",
                "if number is None:",
            ),
        ),
        (f"{SPANS}::test_after_the_applications_own_writes_nothing_is_skipped",),
    ),
    Mutant(
        "rows after the source's last key are met",
        (Edit(WALK, "    yield _Stretch({}, Span(place.keys, walked))\n", ""),),
        (f"{SPANS}::test_whatever_was_done_is_found_exactly_and_a_watch_run_finds_it_again",),
    ),
    Mutant(
        "images that no page has are missing keys",
        (Edit(WALK, "[*unlike, *left]", "unlike"),),
        (f"{SPANS}::test_whatever_was_done_is_found_exactly_and_a_watch_run_finds_it_again",),
    ),
    Mutant(
        "documents of the source are committed with their stretch",
        (
            Edit(WALK, "if others := [key for key in unlike if key not in stretch.images]:", "if others := unlike:"),
            Edit(WALK, "unlike = [key for key in unlike if key in stretch.images]\n", "unlike = []\n"),
        ),
        (f"{SPANS}::test_a_run_killed_after_a_commit_and_begun_again_comes_to_the_same",),
    ),
    Mutant(
        "a time that Python does not have fails no page of rows",
        (Edit("midflight/postgres/far_times.py", "        if error.sqlstate is not None:", "        if True:"),),
        (FAR_TIMES,),
    ),
    Mutant(
        "a time that no document has is equal to no text",
        (Edit("midflight/parity/forms/columns.py", "return OUTSIDE if type(cell) is str else cell", "return cell"),),
        ("tests/unit/parity/test_far_times.py",),
    ),
    Mutant(
        "a function is not asked for a time that no document has",
        (Edit("midflight/core/mapping_transforms.py", "            require_time(cells[slot])", "            pass"),),
        (f"{FAR_TIMES}::test_a_transform_is_not_asked_what_such_a_time_means",),
    ),
)
