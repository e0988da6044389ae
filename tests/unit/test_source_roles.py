"""deploy/source-roles.js cannot be run here (no MongoDB, no mongosh); what it names is at least what the code uses."""

from __future__ import annotations

import re
from pathlib import Path

from midflight.mongo.wire import FENCES, GUARDS, MARKS

SCRIPT = (Path(__file__).parents[2] / "deploy/source-roles.js").read_text()


def test_the_script_names_all_of_our_collections_and_no_others() -> None:
    assert set(re.findall(r'"(midflight_\w+s)"', SCRIPT)) == {MARKS, GUARDS, FENCES}


def test_the_script_grants_what_the_fence_needs() -> None:
    for action in ("collMod", "bypassDocumentValidation", "viewUser", "grantRole", "revokeRole", "changeStream"):
        assert f'"{action}"' in SCRIPT
