"""The search for claims about decision trees: boxes between their thresholds."""
