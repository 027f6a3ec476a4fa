"""Bundles as files: built, signed, published, pulled. Each module is imported where it is needed: tuf costs 0.1 s."""
