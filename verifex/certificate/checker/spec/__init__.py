"""Reads specs: the claim as a formula over atoms."""
