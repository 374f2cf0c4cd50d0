"""What the ops mean: one table a page, each a mapping from op to rule."""
