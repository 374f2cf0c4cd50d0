"""What a problem says, in words and exact numbers: the statement that a verdict repeats."""
