"""Two tables whose servers hash their own rows, compared in one pass: `run.compare_tables`."""
