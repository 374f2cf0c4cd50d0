"""Branch and bound over gates: domains, branching, refreshed bounds, leaf programs."""
