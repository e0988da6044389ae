"""Starts Temporal, a Mongo-compatible server and PostgreSQL from wheels, for demo and tests."""
