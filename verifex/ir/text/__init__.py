"""Text forms of graphs and problems: JSON that round-trips, a readable listing, drawings."""
