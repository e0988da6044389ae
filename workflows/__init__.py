"""The runbook: order, gates and waiting; no I/O."""
