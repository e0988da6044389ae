"""Where the application finds its stores: environment variables, as usual."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Config:
    """`mode`: `mongo` (as it was), `moving` (both, with Midflight's library between), `postgres` (as it will be)."""

    mongo: str = field(repr=False)
    postgres: str = field(repr=False)
    mode: str = "mongo"
    database: str = "loyalty"
    schema: str = "loyalty"
    instance: str = ""

    @classmethod
    def from_environment(cls) -> Config:
        """LOYALTY_MONGO, LOYALTY_POSTGRES, LOYALTY_MODE, LOYALTY_DATABASE, LOYALTY_SCHEMA, LOYALTY_INSTANCE."""
        return cls(
            mongo=os.environ.get("LOYALTY_MONGO", "mongodb://127.0.0.1:27017/?directConnection=true"),
            postgres=os.environ.get("LOYALTY_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"),
            **{
                name: os.environ[variable]
                for name in ("mode", "database", "schema", "instance")
                if (variable := f"LOYALTY_{name.upper()}") in os.environ
            },
        )

    def environment(self) -> dict[str, str]:
        """The same as variables, for a process we start."""
        return {f"LOYALTY_{name.upper()}": getattr(self, name) for name in self.__dataclass_fields__}
