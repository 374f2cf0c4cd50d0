"""Expressions that are no linear forms: a claim compares them with one threshold at a time."""
