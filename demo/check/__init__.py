"""The independent check: from the writer's journal and the source's final state, with code of its own.

Nothing here uses Midflight's mapping, keys or parity: an error in those must not be able to hide itself.
"""
