"""Local search over activation patterns: the best points of the pieces on which a graph is affine.
"""
