"""Ends that thresholds narrowed, as claims of specs of their own, which the checker reads."""
