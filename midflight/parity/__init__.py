"""Parity: compare two stores that should say the same, say where and why they do not, and mend it.

Any domain, any time, with or without Temporal, and any two stores that implement `midflight.parity.ports.Side`. What
decides is pure (`normal`, `compare`, `decide`, `causes`, `verdicts`); `harness` runs the levels over two sides.
"""
