"""Spec files: their model, data rows, regions, expressions, and the problem they state."""
