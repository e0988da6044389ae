"""Shipped test tools: fault wrappers for every port."""
