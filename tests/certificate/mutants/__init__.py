"""Certificates, networks, specs and data files, mutated: as bytes, as messages, as text, as JSON."""
