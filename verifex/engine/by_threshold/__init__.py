"""Ranges of expressions that are no linear forms, narrowed by claims about thresholds."""
