"""Reads VNN-LIB 1.0 queries (see docs/vnnlib.md) as claims."""
