"""Reads the data files that a spec names."""
