"""Bounds of many domains at once: layout, relaxations, optimised multipliers, small LPs."""
