"""First steps: a spec for one's own network, ready specs, the explanation at x0."""
