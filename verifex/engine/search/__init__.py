"""Branch and bound: the search for a claim, the search for extrema, and their record."""
