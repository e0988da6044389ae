"""The source: the only package that knows MongoDB's driver."""
