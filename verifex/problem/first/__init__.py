"""First steps with a network: the explanation at x0, and a first spec for one's own data."""
