"""The engine: bounds, attack, search, exact solvers, replay; from Problems to Verdicts."""
