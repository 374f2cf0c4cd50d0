"""Logical models: variables, rows and implications, and what solvers read them as."""
