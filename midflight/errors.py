"""Every error Midflight raises, in one hierarchy.

Each class says whether trying again can help (`retryable`) and each instance says what happened, where, and what to
do next: `str(error)` is ready to be shown to an operator.
"""

from __future__ import annotations


class MidflightError(Exception):
    """Base of all our errors: what happened, and what to do next."""

    retryable = False

    def __init__(self, what: str, *, next_step: str = "") -> None:
        super().__init__(f"{what} {next_step}".strip())
        self.what = what
        self.next_step = next_step


class PlanError(MidflightError):
    """The plan cannot be used as it stands; only an edit of the plan helps."""


class SettingsError(MidflightError):
    """A setting is missing or unusable; the message names the environment variable."""


# --- the source -------------------------------------------------------------------------------------------------


class SourceError(MidflightError):
    """The source refused or cannot do what we need."""


class SourceUnavailable(SourceError):
    """The source does not answer now; trying again can help."""

    retryable = True


class SourceRefused(SourceError):
    """Wrong password, missing privilege (the message names it), or no replica set."""


class CollectionMissing(SourceError):
    """A collection of the plan does not exist in the source."""


class PositionLost(SourceError):
    """The source no longer holds our position in its change feed; only a new capture and backfill help."""


class ArchiveDiffers(SourceError):
    """Archive and source do not hold the same any more: nothing was dropped."""


# --- the target -------------------------------------------------------------------------------------------------


class TargetError(MidflightError):
    """The target refused or cannot do what we need."""


class TargetUnavailable(TargetError):
    """The target does not answer now; trying again can help."""

    retryable = True


class TargetRefused(TargetError):
    """Wrong password or missing privilege; the message names it."""


class TargetNotOurs(TargetError):
    """A target table exists with another shape, or holds rows that Midflight did not write."""


class LedgerConflict(TargetError):
    """The ledger belongs to another plan (fingerprint) of this domain."""


class DomainUnknown(TargetError):
    """The ledger holds no such domain."""


class RunUnknown(TargetError):
    """The ledger holds no such run of parity."""


# --- the protocol -----------------------------------------------------------------------------------------------


class AuthorityMoved(MidflightError):
    """The source is no longer the authority, or the epoch changed between draw and apply: nothing was written."""


class Superseded(MidflightError):
    """Another attempt already moved this checkpoint: nothing was written; start again from what is committed."""

    retryable = True


class DrainTimeout(MidflightError):
    """The tail did not pass the given mark in time."""

    retryable = True


class NotDrained(MidflightError):
    """Dirty marks are pending: the authority may not go back to the source yet."""

    retryable = True


# --- the application's library --------------------------------------------------------------------------------


class GatewayError(MidflightError):
    """Base of what the library raises to an application."""


class WritesHeld(GatewayError):
    """Writes are held (a cutover is under way) and the wait is over; try again after `retry_after` seconds."""

    retryable = True
    retry_after = 1.0


class NotReady(GatewayError):
    """The library does not know the route of a domain yet, or may not act on what it knows; try again."""

    retryable = True


class GatewayMisused(GatewayError):
    """The application calls the library in a way that cannot work; only a change of the code helps."""
