"""Claims that are false for a known reason, with certificates that a wrong reader would accept."""
