"""Reads VNN-LIB queries."""
