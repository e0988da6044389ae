"""Applications that are migrated."""
