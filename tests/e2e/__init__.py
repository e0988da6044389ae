"""Whole moves over real servers, real worker processes."""
