"""Branch and bound over ReLUs by linear programs over all units: what excludes atoms together."""
