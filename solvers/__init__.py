"""Adapters to solvers, found by entry point; nothing in the engine imports them."""
