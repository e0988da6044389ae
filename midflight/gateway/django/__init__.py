"""The library in Django: add "midflight.gateway.django" to INSTALLED_APPS and set MIDFLIGHT.

    from midflight.gateway.django import domain

    loyalty = domain("loyalty", entity=str)

Handles may be made when modules are imported, before a server forks: nothing is opened before the first call.
"""

from __future__ import annotations

import atexit
from functools import cache
from typing import TypeVar

from midflight.gateway.blocking import Domain, Gateway
from midflight.gateway.django.conf import configured

K = TypeVar("K")


@cache
def gateway() -> Gateway:
    """The process's gateway, made from settings.MIDFLIGHT when first asked for. ImproperlyConfigured."""
    conf = configured()
    made = Gateway(ledger=conf.ledger, source=conf.source, instance=conf.instance, policy=conf.policy)
    # A server that ends its workers properly gives up their leases, so that no cutover waits for them.
    atexit.register(made.close)
    return made


def domain(name: str, *, entity: type[K]) -> Domain[K]:
    """The handle of a domain whose entity keys are of this type; the same handle each time."""
    return gateway().domain(name, entity=entity)
