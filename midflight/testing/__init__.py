"""Shipped test tools: memory ports, fault wrappers, builders."""
