"""What two stores' answers to the same read are compared by."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Comparator(Generic[R]):
    """The hooks of a comparison, always (source, target); a team overrides what its values need."""

    def clean(self, value: R) -> Any:
        """The value in a canonical, comparable form; this form is also what is published."""
        return value

    def equal(self, source: Any, target: Any) -> bool:
        """Whether two cleaned values are the same answer."""
        return bool(source == target)

    def ignore(self, source: Any, target: Any) -> bool:  # noqa: ARG002
        """Whether this difference is known and wanted."""
        return False
