"""The target and its ledger: the only package that knows PostgreSQL's driver."""
