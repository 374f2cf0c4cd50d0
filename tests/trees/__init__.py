"""Decision trees, from files to certificates."""
