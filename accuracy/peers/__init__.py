"""Peers whose accuracy alone is measured; those whose speed is measured too stand in `benchmarks.peers`."""
