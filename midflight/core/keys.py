"""Keys: a document's `_id` as canonical bytes, and back.

Two `_id`s that MongoDB holds to be the same key (3, 3L, 3.0, Decimal128 3) have the same bytes. The bytes decode to a value
that finds the document. (Placeholder of the interface; see the module's owner.)
"""
