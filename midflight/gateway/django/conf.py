"""settings.MIDFLIGHT: its keys, what is wrong with them, and their values.

MIDFLIGHT = {
    "LEDGER": "postgresql://...",        # the target: DSN with the application's own user
    "SOURCE": "mongodb://...",           # the source, with the database's name
    "DOMAINS": ["loyalty"],              # optional: what midflight_status and the readiness view look at
    "INSTANCE": "web",                   # optional: a name for people; each process adds its own part
    "POLICY": {"park_seconds": 10},      # optional: fields of midflight.gateway.Policy
}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from midflight.gateway.policy import DEFAULT, Policy

REQUIRED = ("LEDGER", "SOURCE")
KEYS = (*REQUIRED, "INSTANCE", "DOMAINS", "POLICY")
INSTANCE_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Conf:
    """The settings, good to use."""

    ledger: str
    source: str
    instance: str = ""
    domains: tuple[str, ...] = ()
    policy: Policy = DEFAULT


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key, and what to do. `number` is that of the system check."""

    number: int
    what: str
    hint: str


def configured() -> Conf:
    """What settings.MIDFLIGHT says. ImproperlyConfigured names the first problem."""
    found: Any = getattr(settings, "MIDFLIGHT", None)
    for problem in problems(found):
        raise ImproperlyConfigured(f"{problem.what} {problem.hint}")
    policy = found.get("POLICY", DEFAULT)
    return Conf(
        ledger=found["LEDGER"],
        source=found["SOURCE"],
        instance=found.get("INSTANCE", ""),
        domains=tuple(found.get("DOMAINS", ())),
        policy=policy if isinstance(policy, Policy) else Policy(**policy),
    )


def problems(found: object) -> Iterator[Problem]:
    """Everything that is wrong with a value of settings.MIDFLIGHT. Never shows an address: they hold passwords."""
    if found is None:
        yield Problem(1, "settings.MIDFLIGHT is missing.", "Set at least LEDGER and SOURCE.")
    elif not isinstance(found, Mapping):
        yield Problem(3, "settings.MIDFLIGHT is not a dictionary.", "Set it to {'LEDGER': ..., 'SOURCE': ...}.")
    else:
        yield from _missing(found)
        yield from _unknown(found, KEYS, "settings.MIDFLIGHT")
        yield from _wrong_texts(found)
        yield from _wrong_domains(found.get("DOMAINS", ()))
        yield from _wrong_policy(found.get("POLICY", DEFAULT))


def _missing(found: Mapping[Any, Any]) -> Iterator[Problem]:
    for key in REQUIRED:
        if not found.get(key):
            yield Problem(1, f"settings.MIDFLIGHT has no {key}.", f"Set {key} to {_MEANING[key]}.")


_MEANING = {"LEDGER": "the DSN of the target (postgresql://...)", "SOURCE": "the URI of MongoDB (mongodb://...)"}
_STARTS = {"LEDGER": ("postgresql://", "postgres://"), "SOURCE": ("mongodb://", "mongodb+srv://")}


def _unknown(found: Mapping[Any, Any], known: Sequence[str], where: str) -> Iterator[Problem]:
    for key in found:
        if key not in known:
            nearest = get_close_matches(str(key), known, 1, 0.5) or get_close_matches(str(key).upper(), known, 1, 0.5)
            hint = f"Did you mean {nearest[0]}?" if nearest else f"Known are {', '.join(known)}."
            yield Problem(2, f"{where} has an unknown key {key!r}.", hint)


def _wrong_texts(found: Mapping[Any, Any]) -> Iterator[Problem]:
    for key in REQUIRED:
        value = found.get(key)
        if value and not (isinstance(value, str) and (value.startswith(_STARTS[key]) or _is_conninfo(key, value))):
            yield Problem(3, f"{key} in settings.MIDFLIGHT is not {_MEANING[key]}.", "Its value is not shown.")
    instance = found.get("INSTANCE", "")
    if not isinstance(instance, str):
        yield Problem(3, "INSTANCE in settings.MIDFLIGHT is not a text.", "Give a short name, or leave it out.")
    elif instance and not INSTANCE_FORM.fullmatch(instance):
        hint = "Use up to 63 letters, digits, dots, dashes and underscores; each process adds a part of its own."
        yield Problem(4, f"INSTANCE in settings.MIDFLIGHT is {instance!r}.", hint)


def _is_conninfo(key: str, value: str) -> bool:
    return key == "LEDGER" and re.match(r"\w+\s*=", value) is not None


def _wrong_domains(domains: object) -> Iterator[Problem]:
    if isinstance(domains, str) or not isinstance(domains, Sequence) or not all(isinstance(d, str) for d in domains):
        yield Problem(3, "DOMAINS in settings.MIDFLIGHT is not a list of names.", 'Write ["loyalty"].')


def _wrong_policy(policy: object) -> Iterator[Problem]:
    if isinstance(policy, Policy):
        return
    if not isinstance(policy, Mapping):
        yield Problem(3, "POLICY in settings.MIDFLIGHT is not a dictionary.", 'Write {"park_seconds": 10}.')
        return
    kinds = {field.name: type(getattr(DEFAULT, field.name)) for field in fields(Policy)}
    yield from _unknown(policy, tuple(kinds), "POLICY in settings.MIDFLIGHT")
    for name, value in policy.items():
        if name in kinds and not _fits(value, kinds[name]):
            what = f"{name} in POLICY of settings.MIDFLIGHT is {value!r}."
            yield Problem(3, what, f"Give {_KIND_NAMES[kinds[name]]}.")


_KIND_NAMES = {float: "a number of seconds above 0", int: "a whole number above 0", bool: "True or False"}


def _fits(value: object, kind: type) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    wanted = int | float if kind is float else int
    return isinstance(value, wanted) and not isinstance(value, bool) and value > 0
