"""Bounds of nodes and of forms, in exact integers."""
