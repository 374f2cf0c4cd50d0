"""Bounds in exact arithmetic: affine forms of leaves, a linear program on integers, Farkas sums."""
