"""Moves live MongoDB domains to PostgreSQL as Temporal workflows, losing no acknowledged write."""

__version__ = "0.2.0"
