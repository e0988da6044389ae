"""Tests of Midflight."""
