"""Spec files as documents: TOML tables as they are written, changed, moved and written again."""
