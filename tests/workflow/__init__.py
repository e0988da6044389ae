"""Workflows in the right order, over weeks, with activities that only remember what they were asked."""
