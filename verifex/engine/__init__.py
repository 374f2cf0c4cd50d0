"""The engine: attack, bounds, search, exact solvers, replay; it reads Problems and returns Verdicts."""
