"""The protocol's rules, each removed on purpose: a test must notice every one. `python -m tests.mutants`."""
