"""Solver processes that can be killed, and the registry of solvers."""
