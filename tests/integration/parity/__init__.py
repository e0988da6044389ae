"""Parity on real servers."""
