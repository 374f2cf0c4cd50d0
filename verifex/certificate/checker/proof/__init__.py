"""Checks the lines of a certificate."""
