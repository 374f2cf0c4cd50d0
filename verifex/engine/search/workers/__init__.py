"""One search on several processes: shares, what travels, and how."""
