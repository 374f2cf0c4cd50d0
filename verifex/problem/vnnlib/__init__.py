"""VNN-LIB 1.0 and 2.0: reading queries, and what they ask as regions and claims."""
