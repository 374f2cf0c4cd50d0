"""Decision trees as data."""
