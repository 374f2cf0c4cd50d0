"""Mutations of certificates, networks, specs and data files: bytes, messages, texts, JSON."""
